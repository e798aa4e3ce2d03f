# Runs inside the image of every node that plays openGauss or GaussDB, before its database is made: the user, the
# directories, the program. The shims wait in /var/tmp/provision/shims, each tool's name in /var/tmp/provision/tools.
# APP is the directory that the link GAUSSHOME points at.
set -eu

useradd --create-home --shell /bin/bash omm
for directory in "/opt/huawei/install/$APP" "/opt/huawei/install/$APP/bin" "/opt/huawei/install/$APP/lib" \
    /opt/huawei/install/om /opt/huawei/install/om/script /opt/huawei/install/data /opt/huawei/tmp /var/log/omm \
    /var/log/omm/omm; do
    install -d -o omm -g omm -m 0700 "$directory"
done
chmod 0755 /opt/huawei /opt/huawei/install "/opt/huawei/install/$APP" "/opt/huawei/install/$APP/bin"
# The socket is where everybody may connect to.
chmod 0755 /opt/huawei/tmp
ln -s "$APP" /opt/huawei/install/app

cp -r /var/tmp/provision/shims /opt/huawei/install/shim
python3 -m compileall -q /opt/huawei/install/shim/gaussshim
chmod 0755 /opt/huawei/install/shim/tool
ln -s tool /opt/huawei/install/shim/gaussdb_keeper
for tool in $(cat /var/tmp/provision/tools); do
    case "$tool" in
        gs_om) target=/opt/huawei/install/om/script/gs_om ;;
        *) target=/opt/huawei/install/app/bin/$tool ;;
    esac
    install -o omm -g omm -m 0755 /opt/huawei/install/shim/tool "$target"
done
ln -s /usr/lib/postgresql/15/bin/postgres /opt/huawei/install/app/bin/gaussdb
install -o omm -g omm -m 0600 /var/tmp/provision/cluster.json /opt/huawei/install/app/bin/cluster_static_config
install -o root -g root -m 0644 /var/tmp/provision/product.json /opt/huawei/install/shim/product.json
install -d -o omm -g omm -m 0700 /home/omm/.ssh
install -o omm -g omm -m 0600 -t /home/omm/.ssh /var/tmp/provision/ssh/*
install -o omm -g omm -m 0600 /var/tmp/provision/gauss_env /home/omm/gauss_env

# Nodes of this product have no tools of PostgreSQL in their search path; whoever takes them shall notice.
for tool in psql pg_dump pg_dumpall pg_restore pg_basebackup pg_isready createdb createuser dropdb dropuser \
    pg_ctlcluster pg_lsclusters pg_createcluster pg_dropcluster; do
    rm -f "/usr/bin/$tool"
done

-- What SQL of openGauss finds that PostgreSQL 15 has not, or has under another name. Runs once in template1 and in
-- postgres while the lab is provisioned, with allow_system_table_mods: everything lives in pg_catalog, so no dump of a
-- database shows it. Names that PostgreSQL itself uses differently start with gs_shim_; gsql translates to them.

set search_path = pg_catalog;

create function pg_current_xlog_location() returns text language sql as
    'select pg_current_wal_lsn()::text';
create function pg_current_xlog_insert_location() returns text language sql as
    'select pg_current_wal_insert_lsn()::text';
create function pg_last_xlog_receive_location() returns text language sql as
    'select pg_last_wal_receive_lsn()::text';
create function pg_last_xlog_replay_location(out term text, out lsn text) returns record language sql as
    'select ''0'', pg_last_wal_replay_lsn()::text';
create function pg_xlog_location_diff(text, text) returns numeric language sql as
    'select pg_wal_lsn_diff($1::pg_lsn, $2::pg_lsn)';
create function pg_switch_xlog() returns text language sql as
    'select pg_switch_wal()::text';
create function pg_xlogfile_name(text) returns text language sql as
    'select pg_walfile_name($1::pg_lsn)';
create function pg_xlog_replay_pause() returns void language sql as
    'select pg_wal_replay_pause()';
create function pg_xlog_replay_resume() returns void language sql as
    'select pg_wal_replay_resume()';
create function pg_is_xlog_replay_paused() returns boolean language sql as
    'select pg_is_wal_replay_paused()';
create function pg_terminate_backend(bigint) returns boolean language sql as
    'select pg_terminate_backend($1::integer)';
create function pg_cancel_backend(bigint) returns boolean language sql as
    'select pg_cancel_backend($1::integer)';
create function pg_terminate_session(bigint, bigint) returns boolean language sql as
    'select pg_terminate_backend($1::integer)';
create function gs_deployment() returns text language sql stable as
    'select current_setting(''opengauss.deployment'')';
create function opengauss_version() returns text language sql stable as
    'select current_setting(''opengauss.release'')';
create or replace function version() returns text language sql stable as
    'select coalesce(current_setting(''opengauss.version_text'', true), ''openGauss'')';
create function pgxc_get_senders_catchup_time(
    out pid bigint, out lwpid integer, out local_role text, out peer_role text, out state text, out type text,
    out catchup_start timestamptz, out catchup_end timestamptz)
    returns setof record language sql stable as $$
    select pid, pid::integer, 'Primary', 'Standby', 'Catchup', 'Wal', backend_start, null::timestamptz
    from pg_stat_replication where state = 'catchup'
$$;

-- The state file of the server, which its keeper writes.
create function gs_shim_state(key text) returns text language sql stable security definer as $$
    select pg_read_file('gaussdb.state', 0, 100000, true)::json ->> key
$$;

create function gs_shim_role() returns text language sql stable as $$
    select case
        when pg_is_in_recovery() then
            case current_setting('opengauss.mode')
                when 'pending' then 'Pending' when 'cascade_standby' then 'Cascade Standby' else 'Standby' end
        when current_setting('opengauss.mode') = 'normal' then 'Normal'
        else 'Primary' end
$$;

create function pg_stat_get_stream_replications(
    out local_role text, out static_connections integer, out db_state text, out detail_information text)
    returns setof record language sql stable security definer as $$
    select role, current_setting('opengauss.static_connections')::integer,
        case
            when role not in ('Standby', 'Cascade Standby') then 'Normal'
            when receiver.status is null or detail <> 'Normal' then 'Need repair'
            when receiver.status <> 'streaming' then 'Starting'
            when pg_wal_lsn_diff(receiver.latest_end_lsn, pg_last_wal_replay_lsn()) > 16777216 then 'Catchup'
            else 'Normal' end,
        case
            when role not in ('Standby', 'Cascade Standby') then 'Normal'
            when receiver.status is null and detail = 'Normal' then 'Disconnected'
            else detail end
    from gs_shim_role() role, coalesce(gs_shim_state('detail'), 'Connecting...') detail
    left join (select * from pg_stat_wal_receiver) receiver on true
$$;

create function gs_shim_percent(part pg_lsn, whole pg_lsn) returns text language sql immutable as $$
    select case when part >= whole or whole = '0/0' then '100%'
        else least(99, floor(100 * (part - '0/0') / (whole - '0/0'))) || '%' end
$$;

create function gs_shim_pg_stat_get_wal_senders(
    out pid bigint, out sender_pid integer, out local_role text, out peer_role text, out peer_state text, out state text,
    out catchup_start timestamptz, out catchup_end timestamptz,
    out sender_sent_location text, out sender_write_location text, out sender_flush_location text,
    out sender_replay_location text, out receiver_received_location text, out receiver_write_location text,
    out receiver_flush_location text, out receiver_replay_location text, out sync_percent text, out sync_state text,
    out sync_priority text, out sync_most_available text, out channel text)
    returns setof record language sql stable as $$
    -- What the server does not know about its standby it replaces by what it has sent, as the real one does.
    select s.pid, s.pid, gs_shim_role(), 'Standby',
        case s.state when 'catchup' then 'Catchup' else 'Normal' end, initcap(s.state),
        s.backend_start, case when s.state = 'streaming' then s.backend_start end,
        s.sent_lsn::text, s.sent_lsn::text, s.sent_lsn::text, s.sent_lsn::text,
        coalesce(s.write_lsn, s.sent_lsn)::text, coalesce(s.write_lsn, s.sent_lsn)::text,
        coalesce(s.flush_lsn, s.sent_lsn)::text, coalesce(s.replay_lsn, s.sent_lsn)::text,
        gs_shim_percent(coalesce(s.flush_lsn, s.sent_lsn), s.sent_lsn), initcap(s.sync_state), s.sync_priority::text,
        initcap(current_setting('opengauss.most_available_sync')),
        current_setting('opengauss.local_host') || ':' || current_setting('port')::integer + 1 || '-->'
            || host(coalesce(s.client_addr, '127.0.0.1')) || ':' || greatest(s.client_port, 0)
    from pg_stat_replication s
$$;

create function gs_shim_pg_stat_get_wal_receiver(
    out receiver_pid integer, out local_role text, out peer_role text, out peer_state text, out state text,
    out sender_sent_location text, out sender_write_location text, out sender_flush_location text,
    out sender_replay_location text, out receiver_received_location text, out receiver_write_location text,
    out receiver_flush_location text, out receiver_replay_location text, out sync_percent text, out channel text)
    returns setof record language sql stable as $$
    select r.pid, gs_shim_role(), 'Primary', 'Normal', 'Normal', sent.lsn, sent.lsn, sent.lsn, sent.lsn,
        flushed.written::text, flushed.written::text, flushed.lsn::text, pg_last_wal_replay_lsn()::text,
        gs_shim_percent(flushed.lsn, sent.lsn::pg_lsn),
        current_setting('opengauss.local_host') || ':' || 32768 + r.pid % 28000 || '<--' || r.sender_host || ':'
            || r.sender_port + 1
    from pg_stat_wal_receiver r,
        -- A receiver that has just begun knows less of itself than what is replayed already.
        lateral (select greatest(r.flushed_lsn, pg_last_wal_replay_lsn()) lsn,
                        greatest(r.written_lsn, r.flushed_lsn, pg_last_wal_replay_lsn()) written) flushed,
        lateral (select greatest(r.latest_end_lsn, flushed.written)::text lsn) sent
    -- A receiver that waits for a position which the primary does not have is none.
    where r.status = 'streaming' and gs_shim_state('detail') = 'Normal'
$$;

create view gs_shim_pg_stat_replication as
    select pid::bigint, usesysid, usename, application_name, client_addr, client_hostname, client_port, backend_start,
        initcap(state) state, sent_lsn::text sender_sent_location, write_lsn::text receiver_write_location,
        flush_lsn::text receiver_flush_location, replay_lsn::text receiver_replay_location, sync_priority,
        initcap(sync_state) sync_state
    from pg_stat_replication;

create view gs_shim_pg_stat_activity as
    select datid, datname, pid::bigint, pid::bigint sessionid, usesysid, usename, application_name, client_addr,
        client_hostname, client_port, backend_start, xact_start, query_start, state_change,
        wait_event_type is not distinct from 'Lock' waiting, null::text enqueue, state, 'default_pool'::name resource_pool,
        0::bigint query_id, query, null::text connection_info, 0::bigint unique_sql_id, '' trace_id
    from pg_stat_activity where backend_type = 'client backend' and application_name <> 'gauss-shim';

-- Settings: names that only openGauss has are placeholders underneath, and some have another name there.
create function gs_shim_underlying(name text) returns text language sql immutable as $$
    select case lower(name)
        when 'lockwait_timeout' then 'lock_timeout' when 'session_timeout' then 'idle_session_timeout'
        when 'unix_socket_directory' then 'unix_socket_directories'
        when 'synchronous_standby_names' then 'opengauss.synchronous_standby_names'
        else name end
$$;

create function gs_shim_setting(name text) returns text language plpgsql stable as $$
begin
    if lower(name) in ('lock_timeout', 'idle_session_timeout', 'wal_keep_size') then
        raise exception 'unrecognized configuration parameter "%"', name using errcode = '42704';
    end if;
    return case lower(name)
        when 'server_version' then '9.2.4' when 'server_version_num' then '90204'
        when 'wal_level' then 'hot_standby'
        else coalesce(current_setting('opengauss.' || gs_shim_underlying(name), true),
                      current_setting(gs_shim_underlying(name))) end;
end
$$;

-- Some settings belong to the administrator.
create function gs_shim_admin(name text) returns boolean language plpgsql as $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        raise exception 'permission denied to set parameter "%"', name using errcode = '42501';
    end if;
    return true;
end
$$;

create function gs_shim_set(name text, value text, is_local boolean) returns text language plpgsql as $$
begin
    if lower(name) = 'lock_timeout' then
        raise exception 'unrecognized configuration parameter "%"', name using errcode = '42704';
    end if;
    if lower(name) = 'lockwait_timeout' then
        perform gs_shim_admin(name);
    end if;
    if lower(name) = 'session_timeout' and value ~ '^[0-9]+$' then
        value := value || 's';
    end if;
    if gs_shim_underlying(name) = name and current_setting('opengauss.' || name, true) is not null then
        return set_config('opengauss.' || name, value, is_local);
    end if;
    return set_config(gs_shim_underlying(name), value, is_local);
end
$$;

create view gs_shim_pg_settings as
    select name, case name when 'wal_level' then 'hot_standby' else setting end setting, unit, category, short_desc, context,
        vartype, source, min_val, max_val, enumvals, boot_val, reset_val
    from pg_settings
    where name not in ('lock_timeout', 'idle_session_timeout', 'wal_keep_size', 'synchronous_standby_names',
                       'server_version', 'server_version_num', 'unix_socket_directories')
        and name not like 'opengauss.%'
    union all
    select own.name,
        case own.name
            when 'lockwait_timeout' then (select setting from pg_settings s where s.name = 'lock_timeout')
            when 'session_timeout' then (select (setting::bigint / 1000)::text from pg_settings s
                                         where s.name = 'idle_session_timeout')
            else gs_shim_setting(own.name) end,
        own.unit, 'openGauss', '', own.context, own.vartype, 'configuration file', null, null, null, null, null
    from (values
        ('most_available_sync', null, 'sighup', 'bool'), ('synchronous_standby_names', null, 'sighup', 'string'),
        ('lockwait_timeout', 'ms', 'superuser', 'integer'), ('update_lockwait_timeout', 'ms', 'superuser', 'integer'),
        ('session_timeout', 's', 'user', 'integer'), ('upgrade_mode', null, 'sighup', 'integer'),
        ('enable_dcf', null, 'postmaster', 'bool'), ('enable_stream_replication', null, 'user', 'bool'),
        ('enable_thread_pool', null, 'postmaster', 'bool'), ('pgxc_node_name', null, 'postmaster', 'string'),
        ('replconninfo1', null, 'sighup', 'string'), ('replconninfo2', null, 'sighup', 'string'),
        ('password_encryption_type', null, 'sighup', 'integer'), ('replication_type', null, 'postmaster', 'integer'),
        ('server_version', null, 'internal', 'string'), ('server_version_num', null, 'internal', 'integer')
    ) own (name, unit, context, vartype);

grant select on gs_shim_pg_stat_replication, gs_shim_pg_stat_activity, gs_shim_pg_settings to public;

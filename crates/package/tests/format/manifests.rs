//! What a manifest may say (PKG-1), and what migrations may be called.

use package::PackageError;
use rollup_model::inventory::PackagePolicy;

use crate::sample::{MANIFEST, file, files, files_with, gzip, read, read_with, sums, tar};

/// The messages about a manifest in which `from` is replaced.
fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(MANIFEST.contains(from), "the sample has no {from:?}");
    match read(files_with(&MANIFEST.replacen(from, to, 1))) {
        Err(PackageError::Manifest { problems }) => problems.into_iter().map(|problem| problem.message).collect(),
        other => panic!("expected problems of the manifest, found {other:?}"),
    }
}

fn one(from: &str, to: &str, expected: &str) {
    let found = problems(from, to);
    assert!(found.len() == 1 && found[0].contains(expected), "expected {expected:?}, found {found:?}");
}

#[test]
fn pkg_1_an_unknown_key_is_refused() {
    one("format = 1", "format = 1\nfromat = 2", "unknown field `fromat`");
}

#[test]
fn pkg_1_an_unknown_format_is_refused_without_further_complaints() {
    one("format = 1\nname = \"orders\"", "format = 2\nname = \"\"", "`format` is 2: expected 1");
}

#[test]
fn pkg_1_all_mistakes_of_a_manifest_are_reported_at_once() {
    let manifest = MANIFEST
        .replace("\"2.0.0\"", "\"two\"")
        .replace("1.*", "1*")
        .replace("payload/app.jar", "payload/none.jar")
        .replace("0644", "4755")
        .replace("hooks/key.sh", "hooks/none.sh");
    let Err(PackageError::Manifest { problems }) = read(files_with(&manifest)) else { panic!("must be refused") };
    // The file that nobody names any more is the sixth.
    assert_eq!(problems.len(), 6, "{problems:#?}");
}

#[test]
fn pkg_1_words_of_the_header_are_checked() {
    one("\"orders\"", "\"../orders\"", "`name`");
    one("\"any\"", "\"x86 64\"", "`architecture`");
    one("orders-api.service", "orders-api", "`units` contains `orders-api`");
    one("[\"orders-api.service\"]", "[\"a.service\", \"a.service\"]", "twice");
}

#[test]
fn pkg_1_a_component_without_a_file_is_refused() {
    for (to, expected) in [("payload/none.jar", "component `payload/none.jar`"), ("hooks/key.sh", "below `payload/`")] {
        let found = problems("payload/app.jar", to);
        assert!(found[0].contains(expected) && found[1].contains("no component places it"), "{found:?}");
    }
}

#[test]
fn pkg_4_a_destination_that_is_not_a_normalised_absolute_path_is_refused() {
    for bad in ["opt/x", "/opt/../etc/passwd", "/opt//x", "/opt/x/", "/opt/./x", "/"] {
        one("/opt/orders/app.jar", bad, "expected a normalised absolute path");
    }
}

#[test]
fn pkg_4_a_destination_outside_the_allowed_places_is_refused() {
    for bad in ["/etc/cron.d/x", "/optional/x", "/opt"] {
        one("/opt/orders/app.jar", bad, "is not allowed: expected below /opt, /usr/local, /srv");
    }
}

#[test]
fn pkg_4_the_policy_replaces_the_places_that_are_allowed_by_default() {
    let mut entries = files_with(&MANIFEST.replace("/opt/orders/", "/etc/systemd/system/"));
    entries.push(sums(&entries));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.tar.gz");
    std::fs::write(&path, gzip(&tar(&entries, true))).unwrap();
    let policy = |place: &str| PackagePolicy {
        allow_unsigned: true,
        allowed_destinations: vec![place.to_owned()],
        ..PackagePolicy::default()
    };
    assert!(package::read(&path, &policy("/etc/systemd/system/")).is_ok());
    assert!(package::read(&path, &policy("/")).is_ok());
    assert!(package::read(&path, &policy("/opt")).is_err());
    assert!(package::read(&path, &policy("")).is_err(), "an empty place must not stand for every place");
}

#[test]
fn pkg_4_a_destination_that_occurs_twice_or_lies_below_another_is_refused() {
    let again = |destination: &str| {
        let component = MANIFEST.split("[[").nth(1).unwrap().replace("/opt/orders/app.jar", destination);
        problems("[[hooks]]", &format!("[[{component}[[hooks]]"))
    };
    assert!(again("/opt/orders/app.jar")[0].contains("occurs twice"));
    assert!(again("/opt/orders/app.jar/x")[0].contains("lies below the file"));
}

#[test]
fn pkg_4_a_mode_or_account_that_could_mean_something_else_is_refused() {
    one("0644", "4755", "no setuid");
    for bad in ["rw-", "64", "00644", "0648", "+644"] {
        one("0644", bad, "octal digits");
    }
    one("owner = \"orders\"", "owner = \"-x\"", "owner `-x`");
    one("group = \"orders\"", "group = \"a:b\"", "group `a:b`");
}

#[test]
fn pkg_1_a_hook_must_be_a_file_of_the_package_and_have_a_limit() {
    one("hooks/key.sh", "payload/app.jar", "hook `payload/app.jar`");
    one("60s", "0s", "longer than 0s");
    one("60s", "soon", "`soon` is not a length of time");
    one("post-install", "later", "unknown variant `later`");
}

#[test]
fn pkg_1_migrations_run_in_the_order_of_their_numbers_and_contract_ones_last() {
    let mut entries = files();
    entries.push(file("migrations/V10.0__late.sql", ""));
    entries.push(file("migrations/V9.1__early.sql", ""));
    entries.push(file("migrations/contract/V2.1__drop.sql", ""));
    let (release, _) = read(entries).unwrap();
    let names: Vec<_> = release.migrations.iter().map(|migration| migration.name.as_str()).collect();
    assert_eq!(names, ["V2.0.0__add_note.sql", "V9.1__early.sql", "V10.0__late.sql", "V2.1__drop.sql"]);
}

#[test]
fn pkg_1_migrations_that_contradict_each_other_are_refused() {
    for name in [
        "migrations/V2.0__same_version.sql",
        "migrations/contract/V2__same_version.sql",
        "migrations/U3__leads_back_from_nothing.sql",
        "migrations/U2__leads_back_twice.sql",
        "migrations/contract/U2.0.0__no_way_back.sql",
        "migrations/add_note.sql",
        "migrations/V2.0.0_one_underscore.sql",
        "migrations/V3__with space.sql",
        "migrations/V3__.sql",
    ] {
        let error = read_with(file(name, "")).unwrap_err();
        assert!(matches!(error, PackageError::Migrations { .. }), "{name}: {error:?}");
    }
}

#[test]
fn pkg_1_a_migration_that_is_not_text_is_refused() {
    let error = read_with(file("migrations/V3__x.sql", b"\xff")).unwrap_err();
    assert!(matches!(error, PackageError::NotText { .. }), "{error:?}");
}

/// The sample, with this before its components.
fn with(header: &str) -> Vec<String> {
    let manifest = MANIFEST.replacen("[[components]]", &format!("{header}\n[[components]]"), 1);
    match read(files_with(&manifest)) {
        Err(PackageError::Manifest { problems }) => problems.into_iter().map(|problem| problem.message).collect(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => Vec::new(),
    }
}

#[test]
fn pkg_4_a_file_that_no_component_places_is_refused() {
    let mut entries = files();
    entries.push(crate::sample::file("payload/more", "x"));
    let Err(PackageError::Manifest { problems }) = read(entries) else { panic!("must be refused") };
    assert!(problems[0].message.contains("`payload/more` is in the package"), "{problems:?}");
}

#[test]
fn upg_4_what_an_operator_keeps_is_marked() {
    let manifest = MANIFEST.replacen("[[components]]", "keep = [\"/opt/orders/app.jar\"]\n[[components]]", 1);
    let (release, _) = read(files_with(&manifest)).unwrap();
    assert!(
        release.components[0].keep && release.keeps("/opt/orders/app.jar") && !release.keeps("/opt/orders/app.jar2")
    );
    assert!(with("keep = [\"/opt/orders/conf/\"]").is_empty());
    for bad in ["conf", "/opt/../etc", "/opt//x"] {
        let found = with(&format!("keep = [\"{bad}\"]"));
        assert!(found.len() == 1 && found[0].contains(bad), "{found:?}");
    }
}

#[test]
fn upg_4_a_layout_of_releases_places_files_below_the_version() {
    let manifest = MANIFEST.replace("/opt/orders/app.jar", "/opt/orders/current/app.jar").replacen(
        "[[components]]",
        "[layout]\nkind = \"symlink\"\nroot = \"/opt/orders\"\n[[components]]",
        1,
    );
    let (release, _) = read(files_with(&manifest)).unwrap();
    assert_eq!(release.components[0].destination, "/opt/orders/releases/2.0.0/app.jar");
    assert_eq!(release.basis(&release.components[0].destination), "/opt/orders/current/app.jar");
    for (root, expected) in [
        ("opt", "`layout.root` is `opt`"),
        ("/etc/orders", "is not allowed"),
        ("/opt/orders", "no component goes below"),
    ] {
        let found = with(&format!("[layout]\nkind = \"symlink\"\nroot = \"{root}\""));
        assert!(found.iter().any(|message| message.contains(expected)), "{found:?}");
    }
    let own = manifest.replace("/opt/orders/current/app.jar", "/opt/orders/releases/app.jar");
    let Err(PackageError::Manifest { problems }) = read(files_with(&own)) else { panic!("must be refused") };
    assert!(problems.iter().any(|problem| problem.message.contains("belongs to the layout itself")), "{problems:?}");
}

#[test]
fn upg_4_capabilities_are_one_word() {
    let with = |text: &str| problems("mode = \"0644\"", &format!("mode = \"0644\"\ncapabilities = \"{text}\""));
    let manifest = MANIFEST.replace("mode = \"0644\"", "mode = \"0644\"\ncapabilities = \"cap_net_bind_service=ep\"");
    let (release, _) = read(files_with(&manifest)).unwrap();
    assert_eq!(release.components[0].capabilities.as_deref(), Some("cap_net_bind_service=ep"));
    for bad in ["", "cap_kill =ep", "cap;rm"] {
        let found = with(bad);
        assert!(found.len() == 1 && found[0].contains("capabilities"), "{found:?}");
    }
}

#[test]
fn pkg_1_where_the_service_answers_is_a_port_or_a_url() {
    let with = |health: &str| MANIFEST.replacen("[[components]]", &format!("[health]\n{health}\n[[components]]"), 1);
    let good = with("ports = [9090]\nurls = [\"http://127.0.0.1:9090/ready\"]");
    let (release, _) = read(files_with(&good)).unwrap();
    assert_eq!((release.health.ports, release.health.urls.len()), (vec![9090], 1));
    for bad in ["ports = [0]", "urls = [\"file:///etc/shadow\"]", "urls = [\"-o /x\"]", "urls = [\"http://\"]", "x = 1"]
    {
        assert!(matches!(read(files_with(&with(bad))), Err(PackageError::Manifest { .. })), "{bad}");
    }
}

#[test]
fn pkg_1_the_schema_has_every_key_and_no_other() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../../../../docs/package.schema.json")).unwrap();
    let text = "format = 1\nname = \"x\"\nversion = \"1\"\narchive_sha256 = \"\"\nlayout = { kind = \"symlink\", root = \"/o\" }\n\
        [[components]]\nsource = \"s\"\ndestination = \"/d\"\nowner = \"o\"\ngroup = \"g\"\nmode = \"0644\"\ncapabilities = \"c\"\n\
        [[hooks]]\non = \"pre-start\"\nrun = \"r\"\nlimit = \"1s\"\n";
    let manifest: package::Manifest = toml::from_str(text).unwrap();
    let written = serde_json::to_value(&manifest).unwrap();
    let keys = |value: &serde_json::Value| {
        value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(keys(&written), keys(&schema["properties"]));
    let of = |list: &str| (keys(&written[list][0]), keys(&schema["properties"][list]["items"]["properties"]));
    for list in ["components", "hooks"] {
        let (written, told) = of(list);
        assert_eq!(written, told, "{list}");
    }
    assert_eq!(keys(&written["health"]), keys(&schema["properties"]["health"]["properties"]));
    assert_eq!(keys(&written["layout"]), keys(&schema["properties"]["layout"]["oneOf"][1]["properties"]));
}

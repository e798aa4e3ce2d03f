//! `rollup pkg`: packages are built, signed, looked into and verified without a node; `diff` compares nodes with one.

use std::{fs, path::Path};

use package::{Listing, SecretFile};
use rollup_model::{Inventory, NodeName, Release, inventory::PackagePolicy, release::HookPoint};
use rollup_remote::ReadOnly;
use rollup_ui::{bytes, pages};
use serde_json::{Value, json};
use service::{Change, Difference};

use crate::{
    cli::{Cli, Pkg},
    exit::{self, Ended, Exit},
    lint,
    planning::{Origin, read_accepted, read_archive, read_package, refused},
    screen::Screen,
    site::{self, Site},
    typed::{quoted, quoted_option},
};

/// Runs one command.
pub(crate) async fn run(cli: &Cli, pkg: &Pkg, screen: &Screen) -> Ended {
    match pkg {
        Pkg::Keygen { secret, public, password } => {
            let password = new_password(password, screen)?;
            let keys = blocking({
                let (secret, public) = (secret.clone(), public.clone());
                move || package::keygen(&secret, &public, password)
            })
            .await?;
            let text = format!(
                "key {}\n{} is secret: keep it where packages are built, and a copy where it cannot burn\n{} goes to \
                 operators, into their inventory:\n\n[package]\ntrusted_keys = [\"{}\"]\n",
                keys.id,
                secret.display(),
                public.display(),
                keys.public
            );
            let document =
                json!({ "key": keys.id, "public": keys.public, "secret_file": secret, "public_file": public });
            say(&document, &text, screen)
        }
        Pkg::Sign { package: file, manifest, secret, password_file } => {
            let key = SecretFile::read(secret).map_err(refused)?;
            let password = match key.has_password() {
                true => Some(known_password(password_file.as_deref(), secret, file, screen)?),
                false => None,
            };
            let (archive, manifest) = (file.clone(), manifest.clone());
            let signed = blocking(move || package::sign(&archive, manifest.as_deref(), &key, password));
            let (signature, id) = signed.await?;
            let text = format!("{}: {} signed with key {id}\n", signature.display(), file.display());
            say(&json!({ "archive": file, "signature": signature, "key": id }), &text, screen)
        }
        Pkg::Build { dir, output, dialect } => {
            lint::before_build(cli, dir, *dialect, screen).await?;
            let (dir, output) = (dir.clone(), output.clone());
            let built = blocking(move || package::build(&dir, &output)).await?;
            let package::Built { archive, files, size, sha256 } = &built;
            let text = format!("{}: {files} files, {size} bytes, sha256 {sha256}\n", archive.display());
            say(&json!({ "archive": archive, "files": files, "size": size, "sha256": sha256 }), &text, screen)
        }
        Pkg::Inspect { package: file, manifest } => {
            // Looking is free: what may be installed is the inventory's business.
            let (release, listing) = read_anywhere(cli, file, manifest.as_deref(), anything(), screen).await?;
            say(&json!({ "release": release, "entries": listing }), &portrait(&release, &listing, screen), screen)
        }
        Pkg::Diff { package: file, node, manifest, all } => {
            let site = Site::load(&cli.global.inventory, cli.global.state_dir.as_deref(), screen.color())?;
            diff(&site, file, manifest.as_deref(), node.as_ref(), *all, screen).await
        }
        Pkg::Verify { package: file, manifest, keys } => {
            let policy = policy(cli, keys, screen)?;
            let (release, _) = read_anywhere(cli, file, manifest.as_deref(), policy, screen).await?;
            let (name, version, sha256) = (&release.name, &release.version, &release.archive_sha256);
            let files = release.components.len();
            let signer = signer(&release);
            let text = format!("{name} {version}: {files} files, sha256 {sha256}\n{signer}\n");
            let key = release.signer.as_ref().map(|signer| &signer.key);
            say(
                &json!({ "name": name, "version": version, "files": files, "sha256": sha256, "signed_by": key }),
                &text,
                screen,
            )
        }
    }
}

/// Reads a package of this machine, or of a node that the inventory names.
async fn read_anywhere(
    cli: &Cli,
    file: &Path,
    manifest: Option<&Path>,
    policy: PackagePolicy,
    screen: &Screen,
) -> Result<(Release, Listing), Exit> {
    if !Origin::is_elsewhere(file) {
        return read_archive(file, manifest, policy).await;
    }
    let site = Site::load(&cli.global.inventory, cli.global.state_dir.as_deref(), screen.color())?;
    let _waiting = screen.waiting("reading the package on its node");
    let origin = Origin::read(file, Some(&site.inventory))?;
    read_accepted(&origin, manifest, &site, &policy).await?.map_err(refused)
}

/// Nodes beside a package; both are asked at once.
async fn diff(
    site: &Site,
    file: &Path,
    manifest: Option<&Path>,
    only: Option<&NodeName>,
    all: bool,
    screen: &Screen,
) -> Ended {
    if let Some(name) = only.filter(|name| !site.hosts.contains_key(*name)) {
        let known: Vec<_> = site.hosts.keys().map(NodeName::as_str).collect();
        return Err(Exit::usage(format!("there is no node `{name}`")).hint(format!("one of: {}", known.join(", "))));
    }
    let waiting = screen.waiting("comparing the nodes with the package");
    let release = read_package(file, manifest, site).await?;
    let limit = site.inventory.limits.distribute.duration();
    let asked = site.hosts.iter().filter(|(name, _)| only.is_none_or(|only| only == *name));
    let answers = asked.map(|(name, host)| {
        let release = &release;
        async move { (name, service::diff(ReadOnly::new(host.as_ref()), release, limit).await) }
    });
    let answers = futures_util::future::join_all(answers).await;
    drop(waiting);
    let (mut document, mut page) = (serde_json::Map::new(), String::new());
    for (name, answer) in answers {
        let mut differences = answer.map_err(|error| {
            // It names its node.
            Exit { code: exit::BLOCKED, ..error.into() }.hint("rollup precheck --only host")
        })?;
        let same = differences.iter().filter(|file| file.change == Change::Same && !file.by_hand).count();
        let by_hand = differences.iter().filter(|file| file.by_hand).count();
        if !all {
            differences.retain(|file| file.change != Change::Same || file.by_hand);
        }
        let title =
            format!("{name}: {same} files as {} {} has them, {by_hand} changed by hand", release.name, release.version);
        let rows: Vec<_> = differences.iter().map(row).collect();
        page += &format!("{title}\n");
        if !rows.is_empty() {
            page += &pages::table(&["change", "file", "now", "since the last install"], &rows, screen.out());
        }
        page.push('\n');
        document.insert(name.to_string(), json!(differences));
    }
    say(&Value::Object(document), page.trim_end_matches('\n'), screen)
}

fn row(file: &Difference) -> Vec<String> {
    let change = match file.change {
        Change::Add => "add",
        Change::Replace => "replace",
        Change::Attributes => "owner or mode",
        Change::Remove => "remove",
        Change::Keep => "keep",
        Change::Same => "same",
    };
    let by_hand = if file.by_hand { "changed by hand" } else { "" };
    vec![change.to_owned(), file.path.clone(), file.now.clone(), by_hand.to_owned()]
}

/// Work that reads or computes for seconds, off the threads that must answer.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, package::PackageError> + Send + 'static,
) -> Result<T, Exit> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Exit::from(anyhow::Error::from(error)))?.map_err(refused)
}

fn say(document: &Value, text: &str, screen: &Screen) -> Ended {
    match screen.json() {
        true => screen.data(&serde_json::to_string_pretty(document).map_err(anyhow::Error::from)?)?,
        false => screen.data(text)?,
    }
    Ok(exit::DONE)
}

/// Every package that is one.
pub(crate) fn anything() -> PackagePolicy {
    PackagePolicy { allow_unsigned: true, allowed_destinations: vec!["/".to_owned()], ..PackagePolicy::default() }
}

/// The inventory where there is one. Where packages are built there may be none; one that is named must be there.
pub(crate) fn inventory(cli: &Cli, screen: &Screen) -> Result<Option<Inventory>, Exit> {
    let file = &cli.global.inventory;
    if file.as_os_str() == "rollup.toml" && !file.exists() {
        return Ok(None);
    }
    site::read(file, screen.color()).map(Some)
}

/// What a package is held against: keys that were named, else the inventory.
fn policy(cli: &Cli, keys: &[String], screen: &Screen) -> Result<PackagePolicy, Exit> {
    let inventory = inventory(cli, screen)?;
    let none = inventory.is_none();
    let mut policy = inventory.map_or_else(anything, |inventory| inventory.package);
    if !keys.is_empty() {
        policy.trusted_keys = keys.iter().map(|key| public_key(key)).collect::<Result<_, _>>()?;
        policy.allow_unsigned = false;
    } else if none {
        screen.tell("note: no inventory here, so signature and destinations are not held against one");
    }
    Ok(policy)
}

/// A public key as it was typed, or from the file that was typed.
fn public_key(typed: &str) -> Result<String, Exit> {
    if !Path::new(typed).is_file() {
        return Ok(typed.to_owned());
    }
    let text = String::from_utf8_lossy(&fs::read(typed)?).into_owned();
    // The first line is a comment.
    let line = text.lines().find(|line| line.starts_with("RW"));
    line.map(str::to_owned).ok_or_else(|| {
        Exit::usage(format!("{typed} is not a public key: expected a line that begins with `RW`"))
            .hint("name the `.pub` file, or type the key itself")
    })
}

/// The password that a new key gets; none when none is wanted.
fn new_password(asked: &crate::cli::NewPassword, screen: &Screen) -> Result<Option<String>, Exit> {
    if asked.no_password {
        return Ok(None);
    }
    if let Some(file) = &asked.password_file {
        return from_file(file).map(Some);
    }
    let hint = "rollup pkg keygen --password-file FILE, or --no-password for a key that its file's mode alone protects";
    screen.password("password of the new key", true).map_err(|exit| exit.hint(hint)).map(Some)
}

fn known_password(file: Option<&Path>, secret: &Path, package: &Path, screen: &Screen) -> Result<String, Exit> {
    if let Some(file) = file {
        return from_file(file);
    }
    let hint = format!(
        "rollup pkg sign{} --password-file FILE {}",
        quoted_option("--secret", Some(secret)),
        quoted(&package.display().to_string())
    );
    screen.password(&format!("password of {}", secret.display()), false).map_err(|exit| exit.hint(hint))
}

/// A password's file may end in a line end, which is not part of it.
fn from_file(file: &Path) -> Result<String, Exit> {
    let refuse = |why: String| Exit::usage(format!("password file {}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    match password.is_empty() || password.contains('\n') {
        true => Err(refuse("expected one line that is not empty".to_owned())),
        false => Ok(password.to_owned()),
    }
}

/// Who vouches for a package, in words.
fn signer(release: &Release) -> String {
    match &release.signer {
        Some(signer) => format!("signed by trusted key {}", signer.key),
        None => "not signed by a trusted key".to_owned(),
    }
}

/// What people want to see of a package before they install it.
fn portrait(release: &Release, listing: &Listing, screen: &Screen) -> String {
    let style = screen.out();
    let manifest = &listing.manifest;
    let list = |items: &[String], none: &str| if items.is_empty() { none.to_owned() } else { items.join(", ") };
    let values = [
        ("replaces", list(&release.from_versions, "any version")),
        ("architecture", release.architecture.clone()),
        ("archive", format!("{}, unpacked {}", bytes(release.archive_size), bytes(release.unpacked_size))),
        ("sha256", release.archive_sha256.clone()),
        ("units", list(&manifest.units, "none named")),
    ];
    let values: Vec<_> = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut page = pages::key_values(&format!("{} {}", release.name, release.version), &values, style);
    let mut add = |head: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            page.push('\n');
            page.push_str(&pages::table(head, &rows, style));
        }
    };
    let components = release.components.iter().map(|component| {
        let owner = format!("{}:{}", component.owner, component.group);
        vec![component.destination.clone(), bytes(component.size), component.mode.clone(), owner]
    });
    add(&["file", "size", "mode", "owner"], components.collect());
    let migrations = release.migrations.iter().map(|migration| {
        let phase = format!("{:?}", migration.phase).to_lowercase();
        let back = migration.down.as_ref().map_or("none", |down| down.name.as_str());
        vec![migration.name.clone(), phase, back.to_owned()]
    });
    add(&["migration", "phase", "way back"], migrations.collect());
    let point = |on: HookPoint| match on {
        HookPoint::PreInstall => "before files are replaced",
        HookPoint::PostInstall => "after files are replaced",
        HookPoint::PreStart => "before units start",
        HookPoint::PostStart => "after units started",
    };
    let hooks =
        release.hooks.iter().map(|hook| vec![hook.run.clone(), point(hook.on).to_owned(), hook.limit.to_string()]);
    add(&["hook", "runs", "limit"], hooks.collect());
    page
}

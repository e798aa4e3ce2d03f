//! Builds every version of the example service from its one source tree.
//!
//! Owns how `examples/orders/variants.toml` becomes directories; what a package is belongs to the `package` crate.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use package::{LayoutChoice, Manifest};
use rollup_model::{
    Span,
    release::{Answers, Hook, HookPoint, RootKeyPolicy},
};
use serde::Deserialize;

use crate::{image::content_key, places::Lock, shell};

/// Programs that decide, besides the sources, what the packages contain.
const BUILDERS: [&str; 3] = [
    include_str!("packages.rs"),
    include_str!("../../package/src/build.rs"),
    include_str!("../../package/src/sums.rs"),
];
/// Replaces the root key, as the installer of every 2.0 version does.
const ROOT_KEY_HOOK: &str = "hooks/regenerate-root-key.sh";
/// Any fixed moment will do; zip archives know none before 1980.
const JAR_DATE: &str = "2020-01-01T00:00:00Z";
/// The oldest JRE that a node may have.
const JAVA_RELEASE: &str = "17";

/// One package of the example service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltPackage {
    /// Version of the service.
    pub version: String,
    /// Where the package is.
    pub archive: PathBuf,
}

/// What all versions have in common, and how each differs: `variants.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variants {
    name: String,
    units: Vec<String>,
    components: Vec<Component>,
    variants: Vec<Variant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    /// A file of the source tree, `@jar` or `@version`.
    from: String,
    source: String,
    destination: String,
    owner: String,
    group: String,
    mode: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    version: String,
    from_versions: Vec<String>,
    /// Where this version keeps the note of an order.
    note_column: Option<String>,
    #[serde(default)]
    fault: Fault,
    migrations: Vec<String>,
    #[serde(default)]
    new_root_key: bool,
    start_delay_seconds: Option<u32>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    #[default]
    None,
    NeverHealthy,
    CrashOnStart,
}

impl Fault {
    /// As the Java program knows it.
    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NeverHealthy => "never-healthy",
            Self::CrashOnStart => "crash-on-start",
        }
    }
}

/// Builds all versions into `out`, unless what is there was built from the same sources.
///
/// `java_home` names a JDK; without it the one of the search path is used, and installed where that is possible.
pub fn build_all(out: &Path, java_home: Option<&Path>, say: &dyn Fn(&str)) -> Result<Vec<BuiltPackage>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders");
    let variants = fs::read_to_string(sources.join("variants.toml")).context("cannot read the example's variants")?;
    let variants: Variants = toml::from_str(&variants).context("variants.toml of the example")?;
    let all: Vec<BuiltPackage> = variants
        .variants
        .iter()
        .map(|variant| {
            let archive = out.join(format!("{}-{}.tar.gz", variants.name, variant.version));
            BuiltPackage { version: variant.version.clone(), archive }
        })
        .collect();

    // Two labs may ask at once.
    let _lock = Lock::take(out)?;
    let source_key = source_key(&sources)?;
    let stamp = out.join(".built");
    if fs::read_to_string(&stamp).is_ok_and(|found| stamp_of(&source_key, &all).is_ok_and(|expected| found == expected))
    {
        return Ok(all);
    }
    let jdk = Jdk::find(java_home, say)?;
    let scratch = tempfile::tempdir()?;
    let classes = scratch.path().join("classes");
    jdk.compile(&sources, &classes)?;
    for (variant, built) in variants.variants.iter().zip(&all) {
        let directory = scratch.path().join(&variant.version);
        assemble(&variants, variant, &sources, &classes, &jdk, &directory)?;
        let done = package::build(&directory, &built.archive)
            .with_context(|| format!("package of version {}", variant.version))?;
        say(&format!("{} ({} bytes, sha256 {})", done.archive.display(), done.size, done.sha256));
    }
    fs::write(&stamp, stamp_of(&source_key, &all)?)?;
    Ok(all)
}

/// Names the content of the source tree and of what turns it into packages.
fn source_key(sources: &Path) -> Result<String> {
    let mut files = BTreeMap::new();
    collect(sources, "", &mut files)?;
    let parts = files.iter().flat_map(|(name, content)| [name.as_bytes(), content.as_slice()]);
    Ok(content_key(parts.chain(BUILDERS.map(str::as_bytes))))
}

/// Names sources and results, so that a package that was deleted or replaced is built again.
fn stamp_of(source_key: &str, all: &[BuiltPackage]) -> Result<String> {
    let archives = all.iter().map(|built| fs::read(&built.archive)).collect::<std::io::Result<Vec<_>>>()?;
    Ok(format!("{source_key} {}\n", content_key(archives.iter().map(Vec::as_slice))))
}

fn collect(directory: &Path, above: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let entry = entry?;
        let name = format!("{above}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// Lays out the directory of one package.
fn assemble(all: &Variants, variant: &Variant, sources: &Path, classes: &Path, jdk: &Jdk, to: &Path) -> Result<()> {
    let mut components = Vec::new();
    for component in &all.components {
        let target = place_for(to, &component.source)?;
        match component.from.as_str() {
            "@jar" => jdk.jar(classes, variant, &target)?,
            "@version" => fs::write(&target, format!("{}\n", variant.version))?,
            from => copy(&sources.join(from), &target)?,
        }
        components.push(package::Component {
            source: component.source.clone(),
            destination: component.destination.clone(),
            owner: component.owner.clone(),
            group: component.group.clone(),
            mode: component.mode.clone(),
            capabilities: None,
        });
    }
    if let Some(seconds) = variant.start_delay_seconds {
        let source = "payload/start-delay".to_owned();
        fs::write(place_for(to, &source)?, format!("{seconds}\n"))?;
        components.push(package::Component {
            source,
            destination: "/opt/orders/start-delay".to_owned(),
            owner: "orders".to_owned(),
            group: "orders".to_owned(),
            mode: "0644".to_owned(),
            capabilities: None,
        });
    }
    for name in &variant.migrations {
        let name = format!("migrations/{name}");
        copy(&sources.join(&name), &place_for(to, &name)?)?;
    }
    let mut hooks = Vec::new();
    if variant.new_root_key {
        copy(&sources.join(ROOT_KEY_HOOK), &place_for(to, ROOT_KEY_HOOK)?)?;
        hooks.push(Hook { on: HookPoint::PostInstall, run: ROOT_KEY_HOOK.to_owned(), limit: Span::secs(60) });
    }
    let manifest = Manifest {
        format: 1,
        name: all.name.clone(),
        version: variant.version.clone(),
        from_versions: variant.from_versions.clone(),
        architecture: "any".to_owned(),
        archive_sha256: None,
        units: all.units.clone(),
        components,
        keep: Vec::new(),
        health: Answers::default(),
        layout: LayoutChoice::InPlace,
        root_key: if variant.new_root_key { RootKeyPolicy::MayChange } else { RootKeyPolicy::Keep },
        hooks,
    };
    fs::write(to.join(package::MANIFEST), toml::to_string(&manifest)?)?;
    Ok(())
}

fn place_for(directory: &Path, name: &str) -> Result<PathBuf> {
    let target = directory.join(name);
    if let Some(above) = target.parent() {
        fs::create_dir_all(above)?;
    }
    Ok(target)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// The programs of a JDK.
struct Jdk {
    javac: PathBuf,
    jar: PathBuf,
}

impl Jdk {
    fn find(java_home: Option<&Path>, say: &dyn Fn(&str)) -> Result<Self> {
        if let Some(home) = java_home {
            let [javac, jar] = ["javac", "jar"].map(|program| home.join("bin").join(program));
            ensure!(javac.is_file(), "there is no JDK at {}: expected bin/javac in it", home.display());
            return Ok(Self { javac, jar });
        }
        if !works("javac") {
            let advice = "apt-get install default-jdk-headless";
            if !rustix::process::geteuid().is_root() {
                bail!("there is no `javac` on this host; run `{advice}` as root, or name a JDK with --java-home");
            }
            say(advice);
            let mut install = shell::command("apt-get", ["install", "-q", "-y", "--no-install-recommends"]);
            let install = install.arg("default-jdk-headless").env("DEBIAN_FRONTEND", "noninteractive");
            shell::run(install).with_context(|| format!("there is no `javac` on this host; run `{advice}`"))?;
        }
        Ok(Self { javac: "javac".into(), jar: "jar".into() })
    }

    /// Compiles once; versions differ only in what is packed beside the classes.
    fn compile(&self, sources: &Path, classes: &Path) -> Result<()> {
        let mut files = BTreeMap::new();
        let source = sources.join("api/src");
        collect(&source, "", &mut files)?;
        let mut javac = shell::command(
            &self.javac.to_string_lossy(),
            ["--release", JAVA_RELEASE, "-encoding", "UTF-8", "-Xlint:all", "-d"],
        );
        javac.arg(classes).args(files.keys().filter(|name| name.ends_with(".java")).map(|name| source.join(name)));
        shell::run(&mut javac)?;
        Ok(())
    }

    /// Packs the classes and the properties of one version; the same input gives the same bytes.
    fn jar(&self, classes: &Path, variant: &Variant, to: &Path) -> Result<()> {
        let Variant { version, note_column, fault, .. } = variant;
        let fault = fault.word();
        let notes = note_column.as_ref().map(|column| format!("note_column={column}\n")).unwrap_or_default();
        let properties = format!("version={version}\n{notes}fault={fault}\n");
        fs::write(classes.join("orders/build.properties"), properties)?;
        let manifest = to.with_extension("manifest");
        fs::write(&manifest, format!("Implementation-Title: orders-api\nImplementation-Version: {version}\n"))?;
        let mut files = BTreeMap::new();
        collect(classes, "", &mut files)?;
        // Not compressed: the package is, and how well a JDK compresses depends on the JDK.
        let options = ["--create", "--no-compress", "--main-class", "orders.Main", "--date", JAR_DATE, "--file"];
        let mut jar = shell::command(&self.jar.to_string_lossy(), options);
        jar.arg(to).arg("--manifest").arg(&manifest).args(files.keys()).current_dir(classes);
        shell::run(&mut jar)?;
        fs::remove_file(manifest)?;
        Ok(())
    }
}

fn works(program: &str) -> bool {
    shell::attempt(&mut shell::command(program, ["-version"]))
}

//! `rollup db lint`: packages and files in, findings out. Looks at a node only for the sizes of tables (DB-5).

use std::{fs, path::Path};

use rollup_model::{inventory::DatabaseEngine, release::Migration};
use rollup_remote::ReadOnly;
use sql_lint::{Against, Dialect, Phase, Report, Source, Table, Verdict};

use crate::{
    cli::{Cli, DialectArgument, LintArguments, LintFormat},
    exit::{self, Ended, Exit},
    packages,
    planning::read_archive,
    screen::Screen,
    site::Site,
    typed::quoted,
};

/// One text, and what is known of it.
struct Text {
    name: String,
    text: String,
    phase: Phase,
}

impl Text {
    fn source(&self) -> Source<'_> {
        Source { name: &self.name, text: &self.text, phase: self.phase }
    }
}

/// Texts, and what was found in them.
pub(crate) struct Linted {
    texts: Vec<Text>,
    report: Report,
}

/// Reads what was named, says what is dangerous in it, and whether anything is.
pub(crate) async fn lint(cli: &Cli, asked: &LintArguments, screen: &Screen) -> Ended {
    if asked.rules {
        let rules: Vec<_> = sql_lint::rules().collect();
        screen.data(&match screen.json() {
            true => serde_json::to_string_pretty(&rules).map_err(anyhow::Error::from)?,
            false => sql_lint::rules_page().trim_start().to_owned(),
        })?;
        return Ok(exit::DONE);
    }
    let dialect = dialect(cli, asked.dialect, screen)?;
    let mut texts = Vec::new();
    for file in &asked.files {
        texts.extend(read(file, screen).await?);
    }
    let tables = if asked.sizes { sizes(cli, screen).await? } else { Vec::new() };
    let linted = Linted::of(texts, dialect, tables).await?;
    let format = if screen.json() { LintFormat::Json } else { asked.format };
    let pretty = |value| serde_json::to_string_pretty(&value).map_err(anyhow::Error::from);
    screen.data(&match format {
        LintFormat::Human => linted.page(screen.out().color),
        LintFormat::Json => pretty(sql_lint::json(&linted.report))?,
        LintFormat::Sarif => pretty(sql_lint::sarif(&linted.report, env!("CARGO_PKG_VERSION")))?,
    })?;
    let bad = if asked.strict { Verdict::NeedsReview } else { Verdict::Unsafe };
    if linted.report.verdict() < bad {
        return Ok(exit::DONE);
    }
    if format == LintFormat::Human {
        screen.tell(&format!("hint: {WAY_OUT}"));
    }
    Ok(exit::BLOCKED)
}

/// What to do about findings.
const WAY_OUT: &str = "go the safe way, or say above the statement why it is safe here: -- rollup-lint: allow RULE why";

/// Refuses a directory whose migrations are not fit to be packed, and tells what a person must look at.
pub(crate) async fn before_build(
    cli: &Cli,
    directory: &Path,
    dialect: Option<DialectArgument>,
    screen: &Screen,
) -> Result<(), Exit> {
    let dialect = self::dialect(cli, dialect, screen)?;
    let survey = {
        let directory = directory.to_owned();
        packages::blocking(move || package::survey(&directory)).await?
    };
    let (manifest, migrations) = survey;
    let linted =
        Linted::of(of_package(directory, &migrations, &manifest.from_versions, screen), dialect, Vec::new()).await?;
    match linted.report.verdict() {
        Verdict::Safe => Ok(()),
        Verdict::NeedsReview => {
            screen.tell(&linted.page(screen.color()));
            Ok(())
        }
        Verdict::Unsafe => {
            let error = format!("the migrations of {} are not safe to run; nothing was built", directory.display());
            let again = format!("{WAY_OUT}; then: rollup db lint {}", quoted(&directory.display().to_string()));
            Err(Exit::new(exit::BLOCKED, error).page(linted.page(screen.color())).hint(again))
        }
    }
}

impl Linted {
    /// Reading a large text takes a while, off the threads that must answer.
    async fn of(texts: Vec<Text>, dialect: Dialect, tables: Vec<Table>) -> Result<Self, Exit> {
        let linted = tokio::task::spawn_blocking(move || {
            let sources: Vec<_> = texts.iter().map(Text::source).collect();
            let report = sql_lint::lint(&sources, Against { dialect, tables: &tables });
            Self { texts, report }
        });
        linted.await.map_err(|error| anyhow::Error::from(error).into())
    }

    fn page(&self, color: bool) -> String {
        let texts: Vec<_> = self.texts.iter().map(|text| text.text.as_str()).collect();
        sql_lint::page(&self.report, &texts, color)
    }
}

/// How large the tables are, by the first node that can say so.
async fn sizes(cli: &Cli, screen: &Screen) -> Result<Vec<Table>, Exit> {
    let site = Site::load(&cli.global.inventory, cli.global.state_dir.as_deref(), screen.color())?;
    let waiting = screen.waiting("asking for the sizes of tables");
    let mut said = Vec::new();
    for node in &site.inventory.nodes {
        let Some(host) = site.hosts.get(&node.name) else { continue };
        match gaussdb::table_sizes(ReadOnly::new(host.as_ref()), &site.inventory, node).await {
            Ok(tables) => return Ok(tables),
            Err(error) => said.push(format!("{}: {error:#}", node.name)),
        }
    }
    drop(waiting);
    let error = format!("no node says how large the tables are: {}", said.join("; "));
    Err(Exit::new(exit::BLOCKED, error).hint("rollup precheck --only database; or leave out --sizes"))
}

/// What was typed, else what the inventory says where there is one.
fn dialect(cli: &Cli, typed: Option<DialectArgument>, screen: &Screen) -> Result<Dialect, Exit> {
    let engine = match typed {
        Some(typed) => typed.into(),
        None => packages::inventory(cli, screen)?.map_or(DatabaseEngine::Postgresql, |known| known.database.engine),
    };
    Ok(gaussdb::dialect(engine))
}

async fn read(file: &Path, screen: &Screen) -> Result<Vec<Text>, Exit> {
    let shown = file.display().to_string();
    let refused = |error: package::PackageError| {
        let hint = error.hint().unwrap_or("name a package, a directory with rollup-package.toml, or a file of SQL");
        Exit { error: error.into(), ..Exit::usage("") }.hint(hint)
    };
    if file.is_dir() {
        let directory = file.to_owned();
        let survey = tokio::task::spawn_blocking(move || package::survey(&directory)).await;
        let (manifest, migrations) = survey.map_err(anyhow::Error::from)?.map_err(refused)?;
        return Ok(of_package(file, &migrations, &manifest.from_versions, screen));
    }
    if [".tar.gz", ".tar.zst", ".tgz"].iter().any(|end| shown.ends_with(end)) && file.is_file() {
        // Nothing was asked of it but to be read.
        let read = read_archive(file, None, packages::anything()).await;
        let (release, _) = read.map_err(|exit| Exit { code: exit::USAGE, ..exit })?;
        return Ok(of_package(file, &release.migrations, &release.from_versions, screen));
    }
    let bytes = fs::read(file).map_err(|error| {
        Exit::usage(format!("cannot read {shown}: {error}"))
            .hint("name a package, a directory with rollup-package.toml, or a file of SQL")
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Exit::usage(format!("{shown} is no text: expected UTF-8")).hint("file FILE tells what it is"))?;
    Ok(vec![Text { phase: phase_of(file), name: shown, text }])
}

fn of_package(package: &Path, migrations: &[Migration], from_versions: &[String], screen: &Screen) -> Vec<Text> {
    let settled = migrations.iter().filter(|migration| migration.is_settled(from_versions));
    let settled: Vec<_> = settled.map(|migration| migration.name.as_str()).collect();
    if !settled.is_empty() {
        screen.tell(&format!("note: every version that the package replaces has run {}; not read", settled.join(", ")));
    }
    let scripts = gaussdb::scripts(migrations, from_versions).into_iter();
    let named = scripts.map(|script| Text {
        name: package.join(script.path).display().to_string(),
        text: script.text.to_owned(),
        phase: script.phase,
    });
    named.collect()
}

/// When a file runs, by where it lies and what it is called.
fn phase_of(file: &Path) -> Phase {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let version = name.strip_prefix('U').and_then(|rest| rest.chars().next());
    let above = std::path::absolute(file).ok().and_then(|file| Some(file.parent()?.file_name()?.to_owned()));
    match version.is_some_and(|first| first.is_ascii_digit()) && name.contains("__") {
        true => Phase::Down,
        false if above.is_some_and(|above| above == "contract") => Phase::Contract,
        false => Phase::Expand,
    }
}

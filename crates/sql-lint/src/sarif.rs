//! The report as SARIF 2.1.0, which forges and editors show at the lines.

use serde_json::{Value, json};

use crate::{FileReport, Finding, Phase, Report, Verdict, rules};

/// One run of the tool `rollup db lint` of this version. Names of files are used as they are, as relative references.
pub fn sarif(report: &Report, version: &str) -> Value {
    let all: Vec<_> = rules().collect();
    let described = all.iter().map(|rule| {
        let help: String = std::iter::once(rule.why.to_owned())
            .chain(rule.safe_way.iter().map(|step| format!("\n- {step}")))
            .collect();
        json!({
            "id": rule.id,
            "shortDescription": { "text": rule.about },
            "fullDescription": { "text": rule.why },
            "help": { "text": help },
            "defaultConfiguration": { "level": level(rule.verdict(Phase::Expand)) },
            "properties": { "tags": [rule.danger] },
        })
    });
    let results = report.files.iter().flat_map(|file| file.findings.iter().map(move |finding| (file, finding)));
    let results = results.map(|(file, finding)| {
        let index = all.iter().position(|rule| rule.id == finding.rule.id);
        result(file, finding, index)
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "rollup db lint",
                "semanticVersion": version,
                "rules": described.collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn result(file: &FileReport, finding: &Finding, index: Option<usize>) -> Value {
    let place = finding.place;
    let steps: String = finding.rule.safe_way.iter().map(|step| format!("\n- {step}")).collect();
    let verdict = if finding.waived.is_some() { finding.rule.verdict(file.phase) } else { finding.verdict };
    let mut result = json!({
        "ruleId": finding.rule.id,
        "level": level(verdict),
        "message": { "text": format!("{}. {}{steps}", finding.sentence(), finding.rule.why) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": reference(&file.name) },
            "region": {
                "startLine": place.line,
                "startColumn": place.column,
                "endLine": place.end_line,
                "endColumn": place.end_column,
            },
        } }],
    });
    if let Some(fields) = result.as_object_mut() {
        fields.extend(index.map(|index| ("ruleIndex".to_owned(), json!(index))));
        let suppressed = |reason: &String| json!([{ "kind": "inSource", "justification": reason }]);
        fields.extend(finding.waived.as_ref().map(|reason| ("suppressions".to_owned(), suppressed(reason))));
    }
    result
}

fn level(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Safe => "none",
        Verdict::NeedsReview => "warning",
        Verdict::Unsafe => "error",
    }
}

/// A file's name as a URI reference: whatever a URI has no place for is written as bytes.
fn reference(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~!$&'()*+,;=@".contains(&byte);
    let byte = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let path: String = name.bytes().map(byte).collect();
    if name.starts_with('/') { format!("file://{path}") } else { path }
}

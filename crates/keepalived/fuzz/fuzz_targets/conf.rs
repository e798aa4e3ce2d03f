//! Any bytes as the files of a configuration: nothing panics, and what is raised is given back byte for byte.
//!
//! The files are parted by the byte 1, which no line may hold: the main file, then `a.conf`, `b.conf`, `d/c.conf`. An
//! `include` brings those whose path ends in its pattern, `*` brings all. A first line `id` makes the config-id known.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;

// The module and not the crate: only what is fuzzed is instrumented, and the build takes seconds.
#[path = "../../src/conf/mod.rs"]
#[expect(dead_code, reason = "the crate uses more of it")]
mod conf;

use conf::Files;

const PATHS: [&str; 4] = ["/k/main.conf", "/k/a.conf", "/k/b.conf", "/k/d/c.conf"];

fuzz_target!(|text: &str| hold(text));

fn hold(text: &str) {
    let files = files(text);
    let overrides = conf::overrides(&files);
    let Ok(cleared) = conf::clear(&files) else { return };
    let plain = with(&files, cleared);
    assert!(conf::clear(&plain).is_ok_and(|left| left.is_empty()), "a block is left");
    let Ok(config) = conf::parse(&plain) else { return };
    assert!(overrides.keys().all(|name| config.instances.iter().any(|instance| &instance.name == name)));
    let editable = config.instances.iter().filter(|instance| config.editable(&instance.name).is_ok());
    let wanted: BTreeMap<String, u8> = editable.map(|instance| (instance.name.clone(), 177)).collect();
    for instance in &config.instances {
        let text = &plain.texts[&instance.file];
        assert!(text[instance.open..].starts_with('{') && text[instance.close..].starts_with('}'));
        assert!(
            config.members(&instance.name).iter().any(|member| member.name == instance.name)
                || instance.group.is_some()
        );
    }
    let raised = conf::raise(&files, &wanted).expect("what is editable can be raised");
    let raised = with(&files, raised);
    assert_eq!(conf::overrides(&raised), wanted);
    let given_back = with(&raised, conf::clear(&raised).expect("what was raised can be cleared"));
    assert_eq!(given_back, plain);
    let after = conf::parse(&raised).expect("what was raised can be read");
    for instance in &after.instances {
        let raised = wanted.contains_key(&instance.name);
        assert!(
            !raised || (instance.priority == Some(177) && !instance.nopreempt && instance.preempt_delay_millis == 0)
        );
    }
}

fn files(text: &str) -> Files {
    let (id, text) = text.strip_prefix("id\n").map_or((None, text), |text| (Some("id".to_owned()), text));
    let texts: BTreeMap<_, _> =
        PATHS.into_iter().zip(text.split('\u{1}')).map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    let mut files = Files { main: PATHS[0].to_owned(), id, includes: Vec::new(), texts };
    for (from, text) in &files.texts {
        for mut include in conf::include_lines(from, text).unwrap_or_default() {
            let wanted = |path: &&String| include.pattern == "*" || path.ends_with(&include.pattern);
            include.matched = files.texts.keys().filter(wanted).cloned().collect();
            files.includes.push(include);
        }
    }
    files
}

fn with(files: &Files, texts: BTreeMap<String, String>) -> Files {
    let mut files = files.clone();
    files.texts.extend(texts);
    files
}

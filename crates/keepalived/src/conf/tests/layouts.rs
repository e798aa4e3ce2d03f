//! Configurations that keepalived 2.2.7 reads, in many styles: how people break lines, quote, comment, define, include.
//!
//! They are whole enough to run: `real.rs` has the daemon read each of them.

use std::collections::BTreeMap;

use super::super::*;

/// What every instance needs to run, line by line.
const BODY: &str = "interface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n10.9.0.100/24\n}\n";
const SECOND: &str = "interface eth0\nvirtual_router_id 52\nvirtual_ipaddress {\n10.9.0.101/24\n}\n";
const INSTANCE: &str = "vrrp_instance VI_1 {\n<BODY>    priority 110\n}\n";

pub(super) struct Layout {
    pub(super) name: &'static str,
    /// Paths below the folder of the main file, which is the first.
    pub(super) texts: Vec<(&'static str, String)>,
    pub(super) id: &'static str,
    /// The instances to raise.
    pub(super) raise: Vec<&'static str>,
    /// Priority of the first of them as the texts settle it.
    pub(super) priority: Option<u8>,
}

fn layout(name: &'static str, main: &str) -> Layout {
    let of = |text: &str| text.replace("<INSTANCE>", INSTANCE).replace("<BODY>", BODY).replace("<SECOND>", SECOND);
    let (main, rest) = main.split_once("==").unwrap_or((main, ""));
    let mut texts = vec![("keepalived.conf", of(main))];
    for part in rest.split("==").filter(|part| !part.is_empty()) {
        let (path, text) = part.split_once('\n').unwrap();
        texts.push((String::from(path.trim()).leak(), of(text)));
    }
    Layout { name, texts, id: "main", raise: vec!["VI_1"], priority: Some(110) }
}

impl Layout {
    fn reads(self, priority: Option<u8>) -> Self {
        Self { priority, ..self }
    }

    fn raising(self, raise: &[&'static str]) -> Self {
        Self { raise: raise.to_vec(), ..self }
    }

    fn crlf(mut self) -> Self {
        for (_, text) in &mut self.texts {
            *text = text.replace('\n', "\r\n");
        }
        self
    }

    /// All of it as if read from this folder, with the includes followed.
    pub(super) fn files(&self, folder: &str) -> Files {
        let texts = self.texts.iter().map(|(path, text)| (format!("{folder}/{path}"), text.clone()));
        let main = format!("{folder}/{}", self.texts[0].0);
        let files = Files { main, texts: texts.collect(), id: Some(self.id.to_owned()), includes: Vec::new() };
        follow(files)
    }

    pub(super) fn wanted(&self, priority: u8) -> BTreeMap<String, u8> {
        self.raise.iter().map(|name| ((*name).to_owned(), priority)).collect()
    }
}

/// Finds what each include matches among the texts themselves, as a node's own glob would.
pub(super) fn follow(mut files: Files) -> Files {
    let mut includes = Vec::new();
    for (from, text) in &files.texts {
        for mut include in include_lines(from, text).unwrap_or_default() {
            let folder = from.rsplit_once('/').unwrap().0;
            for pattern in braces(&include.pattern) {
                let pattern = plain(if pattern.starts_with('/') { pattern } else { format!("{folder}/{pattern}") });
                include.matched.extend(files.texts.keys().filter(|path| matches(&pattern, path)).cloned());
            }
            includes.push(include);
        }
    }
    files.includes = includes;
    files
}

/// The path without `..`.
fn plain(path: String) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        if part == ".." { parts.truncate(parts.len() - 1) } else { parts.push(part) }
    }
    parts.join("/")
}

fn braces(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let (choices, after) = rest.split_once('}').unwrap();
    choices.split(',').map(|choice| format!("{before}{choice}{after}")).collect()
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if pattern == part => {}
            (Some(pattern), Some(part)) => {
                let Some((before, after)) = pattern.split_once('*') else { return false };
                let hidden = before.is_empty() && part.starts_with('.');
                let long = part.len() >= before.len() + after.len();
                if hidden || !long || !part.starts_with(before) || !part.ends_with(after) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

pub(super) fn all() -> Vec<Layout> {
    let mut all = vec![
        layout("the brace on the same line", "<INSTANCE>"),
        layout("the brace on the next line", "vrrp_instance VI_1\n{\n<BODY>    priority 110\n}\n"),
        layout(
            "the brace after a comment and an empty line",
            "vrrp_instance VI_1 # {\n\n! {\n{\n<BODY>priority 110\n}\n",
        ),
        layout("the brace without a space", "vrrp_instance VI_1{\n<BODY>\tpriority 110\n}\n"),
        layout("a keyword after each brace", "vrrp_instance VI_1 {<BODY>priority 110}\n"),
        layout("no final newline", "vrrp_instance VI_1 {\n<BODY>priority 110 }"),
        layout(
            "two braces together",
            "vrrp_instance VI_1 {\n priority 110\n<BODY> track_interface { eth0 weight 5 }}\n",
        ),
        layout(
            "the next instance on the line",
            "vrrp_instance VI_1 {\n<BODY>priority 110 } vrrp_instance B {\n<SECOND>}\n",
        ),
        layout(
            "the closing brace after a keyword",
            "vrrp_instance VI_1 {\n<BODY>  priority 110\n  preempt_delay 3 }\n",
        ),
        layout("the closing brace at the end of the file", "vrrp_instance VI_1 {\n<BODY>  priority 110\n}"),
        layout("indented by tabs", "\tvrrp_instance\tVI_1\t{\n<BODY>\tpriority\t110\n\t\t}\t\n\n"),
        layout("CRLF", "<INSTANCE>\n").crlf(),
        layout("CRLF, no final newline, the brace after a word", "vrrp_instance VI_1\n{\n<BODY>priority 110 }").crlf(),
        layout("braces in comments", "# }\nvrrp_instance VI_1 { # {\n<BODY>  priority 110 ! }\n  # \" }\n  !}\n}\n"),
        layout("an escaped comment sign", "vrrp_instance VI_1 {\n<BODY>  priority 110\n  notify /x\\#1 # }\n}\n"),
        layout("braces in quotes", "vrrp_instance VI_1 {\n<BODY>priority 110\n notify_master \"/bin/x '}' {\"\n}\n"),
        layout("comment signs in quotes", "vrrp_instance VI_1 {\n<BODY>priority 110\n notify \"/bin/x # !\" }\n"),
        layout("a quoted name", "vrrp_instance \"VI_1\" {\n<BODY>  priority 110\n}\n"),
        layout("a quote instead of a blank", "vrrp_instance\"VI_1\"{\n<BODY>  priority\"110\"\n}\n"),
        layout("a quoted number", "vrrp_instance VI_1 {\n<BODY>  priority \"110\"\n}\n"),
        layout(
            "several instances",
            "vrrp_instance A {\n<SECOND>priority 1\n}\n<INSTANCE>vrrp_instance B { interface eth0\nvirtual_router_id 53\n}\n",
        ),
        layout(
            "a commented-out instance",
            "#vrrp_instance VI_1 {\n# priority 1\n#}\n!vrrp_instance VI_1 {\n<INSTANCE>",
        ),
        layout("no priority at all", "vrrp_instance VI_1 {\n<BODY>}\n").reads(None),
        layout("a priority twice", "vrrp_instance VI_1 {\npriority 90\n<BODY>priority 110\n}\n"),
        layout("a priority with trailing words", "vrrp_instance VI_1 {\n<BODY>  priority 110 of many\n}\n"),
        layout("a priority out of range", "vrrp_instance VI_1 {\n<BODY>  priority 300\n}\n").reads(None),
        layout("a priority that is no number", "vrrp_instance VI_1 {\n<BODY>  priority high\n}\n").reads(None),
        layout("an unknown keyword", "vrrp_instance VI_1 {\n<BODY>  priorty 20\n  priority 110\n}\n"),
        layout("the owner, 255", "vrrp_instance VI_1 {\n<BODY>  state MASTER\n  priority 255\n}\n").reads(Some(255)),
        layout("nopreempt", "vrrp_instance VI_1 {\n<BODY>state BACKUP\nnopreempt\n  priority 110\n}\n"),
        layout("nopreempt that ends in preempt", "vrrp_instance VI_1 {\n<BODY>nopreempt\npreempt\n  priority 110\n}\n"),
        layout("nopreempt with state MASTER", "vrrp_instance VI_1 {\n<BODY>state MASTER\nnopreempt\npriority 110\n}\n"),
        layout("preempt_delay", "vrrp_instance VI_1 {\n<BODY>preempt_delay 300\npriority 110\n}\n"),
        layout("VRRPv3 with 0.3 s", "vrrp_instance VI_1 {\n<BODY>version 3\nadvert_int 0.3\npriority 110\n}\n"),
        layout(
            "VRRPv3 for all",
            "global_defs {\n vrrp_version 3\n}\nvrrp_instance VI_1 {\n<BODY>advert_int 0.1\npriority 110\n}\n",
        ),
        layout("a fraction of a second in VRRPv2", "vrrp_instance VI_1 {\n<BODY>advert_int 0.5\npriority 110\n}\n"),
        layout(
            "a long password",
            "vrrp_instance VI_1 {\n<BODY>authentication {\nauth_type PASS\nauth_pass longer-than-8\n}\npriority 110\n}\n",
        ),
        layout(
            "unicast",
            "vrrp_instance VI_1 {\n<BODY>unicast_src_ip 10.9.0.1\nunicast_peer {\n10.9.0.2\n10.9.0.3 }\npriority 110\n}\n",
        ),
        layout(
            "addresses in many forms",
            "vrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n 10.9.0.100/24 dev eth0 label eth0:1\n 10.9.0.101\n}\nvirtual_ipaddress_excluded {\n fd00:9::1/64 }\nvirtual_routes { 10.8.0.0/24 via 10.9.0.1 }\npriority 110\n}\n",
        ),
        layout(
            "IPv6",
            "vrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress { fe80::51\n fd00:9::51/64 }\npriority 110\n}\n",
        ),
        layout(
            "servers around it",
            "virtual_server 10.9.0.100 80 {\n delay_loop 6\n lb_algo rr\n protocol TCP\n real_server 10.9.0.2 80 {\n  weight 1\n  HTTP_GET { url { path / \n status_code 200 } }\n }\n}\n<INSTANCE>",
        ),
        layout(
            "static things around it",
            "global_defs {\n router_id x\n notification_email {\n  a@b \"A }\"\n }\n}\nstatic_ipaddress { 10.7.0.1/24 dev eth0 }\nstatic_routes {\n 10.6.0.0/24 dev eth0\n}\n<INSTANCE>",
        ),
        layout(
            "a script that is tracked",
            "vrrp_script chk {\n script \"/bin/true\"\n interval 2\n weight 20\n}\nvrrp_instance VI_1 {\n<BODY>track_script { chk\n}\npriority 110\n}\n",
        ),
        layout(
            "a script without weight",
            "vrrp_script chk { script /bin/true\n}\nvrrp_instance VI_1 {\n<BODY>track_script {\n chk weight 0\n}\npriority 110\n}\n",
        ),
        layout(
            "an interface that is tracked",
            "vrrp_instance VI_1 {\n<BODY>track_interface {\n lo weight -30\n eth0\n}\npriority 110\n}\n",
        ),
        layout(
            "a file that is tracked",
            "track_file rollup {\n file /tmp/rollup.prio\n weight 1\n init_file 0\n}\nvrrp_instance VI_1 {\n<BODY>track_file {\n rollup weight 2 reverse\n}\npriority 110\n}\n",
        ),
        layout(
            "the old word for a file that is tracked",
            "vrrp_track_file rollup { file /tmp/rollup.prio\n}\nvrrp_instance VI_1 {\n<BODY>priority 110\ntrack_file { rollup }}\n",
        ),
    ];
    all.extend(of_several_parts());
    all
}

/// Definitions, conditions, groups and included files.
fn of_several_parts() -> Vec<Layout> {
    vec![
        layout("a definition", "$PRIO=110\nvrrp_instance VI_1 {\n<BODY>  priority $PRIO\n}\n"),
        layout("a definition in braces", "$PRIO = 9\n$PRIO= 110 # }\nvrrp_instance VI_1 {\n<BODY>  priority ${PRIO} }\n"),
        layout("a definition in a definition", "$TEN=10\n$HUNDRED=1${TEN}\nvrrp_instance VI_1 {\n<BODY>priority $HUNDRED }\n"),
        layout("a definition that is redefined", "$P=90\n$P=110\nvrrp_instance VI_1 {\n<BODY>priority ${P}\n}\n$P=5\n"),
        layout("a definition that is no definition", "vrrp_instance VI_1 {\n<BODY>priority $NONE\n}\n").reads(None),
        layout("a keyword by definition", "$N=nopreempt\nvrrp_instance VI_1 {\n<BODY>priority 110\n$N\n}\n"),
        layout("a quoted definition", "$CMD=\"/bin/x # !\"\nvrrp_instance VI_1 {\n<BODY>priority 110\nnotify $CMD }\n"),
        layout("a definition of the host", "vrrp_instance VI_1 {\n<BODY>notify \"/x ${_INSTANCE} ${_PWD}\"\npriority 11${_RANDOM 0 0}\n}\n")
            .reads(None),
        layout("a definition before a brace that is none", "$P=110\nvrrp_instance VI_1 {\n<BODY>priority $P\n}\nvirtual_server_group $P{\n}\n"),
        layout("conditions", "vrrp_instance VI_1 {\n<BODY>  @main priority 110\n  @backup priority 90\n}\n"),
        layout("conditions the other way round", "vrrp_instance VI_1 {\n<BODY>@^backup priority 110\n@^main priority 90\n@main\n}\n"),
        layout("conditions with definitions", "@main $P=110\n@backup $P=90\nvrrp_instance VI_1 {\n<BODY>priority $P\n}\n"),
        layout("conditions with blocks", "@backup vrrp_instance VI_1 { priority 1 }\nvrrp_instance VI_1 {\n<BODY>priority 110\n@main track_interface { lo weight 5 }\n@backup track_interface { eth0 }\n}\n"),
        layout("a sync group", "vrrp_sync_group G {\n group {\n  VI_1\n  VI_2\n }\n}\n<INSTANCE>vrrp_instance VI_2 {\n<SECOND>priority 120\n}\n")
            .raising(&["VI_1", "VI_2"]),
        layout("a sync group on one line, over two files", "include conf.d/*.conf\nvrrp_sync_group G { group { VI_1 VI_2 } }\n== conf.d/one.conf\n<INSTANCE>== conf.d/two.conf\nvrrp_instance VI_2 {\n<SECOND>priority 120 }")
            .raising(&["VI_1", "VI_2"]),
        layout("a sync group that tracks", "vrrp_script chk { script /bin/true\n}\ntrack_file rollup { file /tmp/rollup.prio\n}\nvrrp_sync_group G {\n group { VI_1\n VI_2 }\n track_file {\n rollup weight 1\n }\n track_script { chk weight -5 }\n sync_group_tracking_weight\n}\n<INSTANCE>vrrp_instance VI_2 {\n<SECOND>}\n")
            .raising(&["VI_1", "VI_2"]),
        layout("a priority in an included file", "vrrp_instance VI_1 {\n<BODY>  include prio.conf\n}\n== prio.conf\npriority 110"),
        layout("the included priority is not the last", "vrrp_instance VI_1 {\n<BODY>include prio.conf # below\npriority 110\n}\n== prio.conf\npriority 90\n"),
        layout("an instance in an included file", "global_defs { router_id x }\nincludea /etc/keepalived/vrrp.conf\n== vrrp.conf\n<INSTANCE>"),
        layout("a folder of files", "include conf.d/*.conf\n== conf.d/10-a.conf\nvrrp_instance A {\n<SECOND>}\n== conf.d/20-vi.conf\n<INSTANCE>== conf.d/.hidden.conf\n<INSTANCE>== conf.d/old.bak\n<INSTANCE>"),
        layout("includes in included files", "include sites/all.conf\n== sites/all.conf\nincluder vi/*.conf\n== sites/vi/one.conf\nvrrp_instance VI_1 {\n<BODY>includem ../prio.conf\n}\n== sites/prio.conf\n\tpriority 110\n"),
        layout("an include with braces", "includew conf.d/{two,one}.conf\n== conf.d/one.conf\n<INSTANCE>== conf.d/two.conf\n$P=1\n"),
        layout("an include of nothing", "include conf.d/*.conf\ninclude absent.conf\n<INSTANCE>"),
        layout("an include of addresses", "vrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\nincludeb vips\n}\npriority 110\n}\n== vips\n10.9.0.100/24\n\n# 10.9.0.7\n10.9.0.101/24"),
        layout("a definition in an included file", "include defs.conf\nvrrp_instance VI_1 {\n<BODY>priority ${P}\n}\n== defs.conf\n$P=110\n"),
        layout("CRLF in every file", "include conf.d/vi.conf\n== conf.d/vi.conf\nvrrp_instance VI_1\n{\n<BODY>include prio.conf\n}\n== conf.d/prio.conf\npriority 110\n").crlf(),
        layout("a file included by two instances", "vrrp_instance VI_1 {\n<BODY>include prio.conf\n}\nvrrp_instance VI_2 {\n<SECOND>include prio.conf\n}\n== prio.conf\npriority 110\n")
            .raising(&["VI_1", "VI_2"]),
    ]
}

//! The look at a node over ssh.

use anyhow::{Result, ensure};
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Finding, Inventory, inventory::Node};

use crate::{
    definition::{self, Questions},
    facts::{self, HealthFacts},
};

/// The health of a node.
pub struct HealthSubject;

/// `$1` limit in seconds, `$2` properties, `$3` database port, `$4` number of units, then units, keepalived's last, then
/// URLs. Everything is asked at once; what is printed is as raw as it was read.
///
/// The eight bytes are `facts::GREETING`. A word in front of each URL's status cannot be imitated by its body. Sockets
/// that listen come first in `/proc/net/tcp`, so the thousands behind them are never read.
const PROBE: &str = r#"
limit=$1 properties=$2 database=$3 count=$4; shift 4
units=("${@:1:$count}"); shift "$count"
mark=end-$$-$RANDOM$RANDOM
ask_units() {
  local text at=0 line= last main pid
  if ! text=$(timeout "$limit" systemctl show -p "$properties" -- "${units[@]}" 2>&1); then
    for line in "${units[@]}"; do echo "unit $line unknown | ${text%%$'\n'*}"; done
    return
  fi
  while IFS= read -r line; do
    last=
    case $line in
      *ActiveState=active*) ;;
      *) last=$(timeout "$limit" journalctl -q -n 1 -o cat -u "${units[at]:-}" 2>/dev/null | head -c 300 | tr '\n' ' ') ;;
    esac
    echo "unit ${units[at]:-more} $line | $last"
    main=${line##*MainPID=} main=${main%% *} at=$((at+1))
  done < <(printf '%s\n' "$text" | awk -v RS= '{ gsub(/\n/, " "); print }')
  [ "${main:-0}" -gt 0 ] 2>/dev/null || return
  for pid in "$main" $(cat "/proc/$main/task/$main/children" 2>/dev/null); do
    if read -r line < "/proc/$pid/stat"; then echo "keepalived $line"; fi 2>/dev/null
  done
}
ask_database() {
  local answer
  answer=$(timeout "$limit" bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$1" || { echo refused; exit; }
    printf "\0\0\0\10\4\322\26\57" >&3
    IFS= read -r -N 1 byte <&3
    case $byte in S | N | "") ;; *) IFS= read -r -N 300 -t 0.2 rest <&3 ;; esac
    echo "answered $byte$rest"' probe "$database" 2>/dev/null | tr -c '[:print:]' ' ')
  echo "database ${answer:-silent}"
}
ask_url() {
  local text code
  text=$(curl -sS --noproxy '*' -m "$limit" -w "$mark%{http_code}$mark" "$1" 2>&1 | head -c 66000 | tr '\n\0' '  ')
  case $text in
    *"$mark"*"$mark"*)
      code=${text#*"$mark"} text=${text%%"$mark"*}${code#*"$mark"}
      echo "url $1 ${code%%"$mark"*} ${text:0:300}" ;;
    *) [ "${#text}" -lt 66000 ] || text="an answer longer than 64 KiB"; echo "url $1 000 ${text:0:300}" ;;
  esac
}
exec {asked}< <(
  ask_units & ask_database &
  for url in "$@"; do ask_url "$url" & done
  wait
)
read -r up _ < /proc/uptime
for table in /proc/net/tcp /proc/net/tcp6; do
  [ ! -r "$table" ] || awk 'FNR > 1 { if ($4 != "0A") exit; print "socket", $0 }' "$table"
done
cat <&"$asked"
echo "uptime $up"
"#;

impl Subject for HealthSubject {
    type Facts = HealthFacts;

    fn name(&self) -> &'static str {
        "health"
    }

    fn probe(&self, inventory: &Inventory, _: &Node) -> Option<Probe> {
        let questions = Questions::of(inventory);
        let mut args = vec![
            format!("{:.3}", questions.limit.as_secs_f64()),
            facts::PROPERTIES.to_owned(),
            questions.database.to_string(),
            questions.units.len().to_string(),
        ];
        args.extend(questions.units);
        args.extend(questions.urls);
        Some(Probe { script: PROBE, args })
    }

    fn parse(&self, text: &str, inventory: &Inventory) -> Result<HealthFacts> {
        let questions = Questions::of(inventory);
        let mut facts = facts::read(text, questions.limit)?;
        let found: Vec<_> = facts.units.iter().map(|unit| &unit.name).collect();
        ensure!(
            found.iter().eq(&questions.units.iter().collect::<Vec<_>>()),
            "expected units {:?}, found {found:?}",
            questions.units
        );
        // URLs are asked at once and answer in any order.
        let place = |url: &str| questions.urls.iter().position(|asked| asked == url);
        facts.urls.sort_by_key(|answer| place(&answer.url));
        Ok(facts)
    }

    fn checks(&self) -> &'static [rollup_model::Check] {
        &crate::checks::CHECKS
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        if cx.stage == Stage::Resumed {
            return Vec::new();
        }
        let each = cx.each(self).into_iter();
        each.flat_map(|(node, facts)| {
            let mut findings = definition::problems(cx.inventory, node, &facts, "PRE-6");
            findings.extend(cx.inventory.service.units.iter().filter_map(|name| facts.unit(name)).map(|unit| {
                Finding::check(
                    "service.enabled",
                    "PRE-6",
                    unit.enabled != "disabled",
                    format!("{} enabled", unit.name),
                    &unit.enabled,
                )
                .on(node)
                .only_warn()
                .fix(format!("systemctl enable {}", unit.name))
            }));
            findings
        })
        .collect()
    }
}

//! The ways that an inventory may allow, each with its proof or the reason why not.

use std::collections::BTreeMap;

use rollup_model::{Span, inventory::VipStrategy};

use super::{
    By, Edit, How, Move, Push, Reason, Refused, Rules,
    numbers::{Member, Numbers},
};
use crate::Tracker;

/// What a push raises the new owner to: the higher, the shorter the address is nowhere.
const PUSHED: i32 = 254;

/// The first way of the inventory that is proved to bring the address to `to`.
pub(super) fn take(to: &Numbers<'_>, from: &Numbers<'_>, rules: &Rules<'_>) -> Result<Move, Refused> {
    let mut tried = Vec::new();
    for way in &rules.strategies {
        let proved = match way {
            VipStrategy::TrackFile => track_file(to, from, rules),
            VipStrategy::Priority => priority(to, from, rules),
            VipStrategy::Fault => fault(from, rules).and_then(|by| push(*way, by, to, from, rules)),
            VipStrategy::Link => link(from, rules).and_then(|by| push(*way, by, to, from, rules)),
            VipStrategy::Stop => push(*way, By::Stop, to, from, rules),
        };
        match proved {
            Ok(found) => return Ok(found),
            Err(reason) => tried.push((*way, reason)),
        }
    }
    Err(Refused::NoWay { target: to.node.clone(), tried })
}

/// The first way of the inventory that lets the owner `to` keep the address, which `from` would take.
pub(super) fn hold(to: &Numbers<'_>, from: &Numbers<'_>, rules: &Rules<'_>) -> Result<Move, Refused> {
    let (highest, own) = (from.first().highest(), to.first().effective);
    let mut tried = Vec::new();
    for way in rules.strategies.iter().filter(|way| matches!(way, VipStrategy::TrackFile | VipStrategy::Priority)) {
        let raised = match way {
            VipStrategy::TrackFile => tracked_raise(to, from, rules, |a, b| 2 * b.highest() - a.effective),
            _ => override_raise(to, from, |a, b| (2 * b.highest() - a.effective, b.highest())),
        };
        match raised {
            Ok(raised) => {
                let to_what = raised.effective(to.first());
                let would = format!("{} would take the VIP with {highest} against {own}", from.node);
                let why = format!("raise {} to {to_what}, since {would}", to.node);
                return Ok(raised.into_move(*way, to, from, Span::secs(0), why));
            }
            Err(reason) => tried.push((*way, reason)),
        }
    }
    Err(Refused::NoWay { target: to.node.clone(), tried })
}

/// A raise to 254 was for the push alone: it goes down to the mirrored distance, so that weighted checks count again.
pub(super) fn lower_to_mirrored(to: &Numbers<'_>, from: &Numbers<'_>) -> Option<Move> {
    let mirrored = |member: &Member<'_>, other: &Member<'_>| Some(2 * other.highest() - member.plain_effective()?);
    let pairs = to.with(from).ok()?;
    let (first, other) = *pairs.first()?;
    let wanted = mirrored(first, other)?.max(other.highest() + 1);
    if first.effective != PUSHED || wanted >= PUSHED {
        return None;
    }
    let how = if to.tracks() {
        let tracker = to.facts.tracker.as_ref()?;
        How::Track(tracker.value_for(first.name, wanted - first.untracked())?)
    } else if to.written() && to.edit.is_ok() {
        let base =
            |(a, b): &(&Member<'_>, &Member<'_>)| Some((a.name.to_owned(), a.base_for(mirrored(a, b)?, b.highest())?));
        How::Override(pairs.iter().map(base).collect::<Option<_>>()?)
    } else {
        return None;
    };
    let why = format!("lower {} from {PUSHED} to {wanted}: the push is over", to.node);
    Some(Move { edit: Some(Edit { node: to.node.clone(), how }), ..super::ours(to.node, super::NOW, super::NOW, why) })
}

/// A raise of one node, proved to bring it above the other.
struct Raise {
    how: How,
    /// By instance: the effective priority that comes of it.
    effective: BTreeMap<String, i32>,
}

impl Raise {
    fn effective(&self, member: &Member<'_>) -> i32 {
        self.effective.get(member.name).copied().unwrap_or(member.effective)
    }

    fn into_move(self, way: VipStrategy, to: &Numbers<'_>, from: &Numbers<'_>, expected: Span, why: String) -> Move {
        let holds = format!("{} against {}", self.effective(to.first()), from.first().highest());
        let undo = match &self.how {
            How::Track(_) => format!("the tracked file of {} goes back to 0", to.node),
            _ => format!("the override of {} is taken out, byte for byte", to.node),
        };
        let edit = Some(Edit { node: to.node.clone(), how: self.how });
        Move { strategy: Some(way), edit, push: None, expected, gap: Span::secs(0), why, holds, undo }
    }
}

/// What counts in front of `limit`, for the slowest instance.
fn timely(to: &Numbers<'_>, expected: Span, delay: Span, rules: &Rules<'_>) -> Result<Span, Reason> {
    if expected < rules.limit {
        return Ok(expected);
    }
    let slowest = to.members.iter().max_by_key(|member| member.running.advert_interval);
    let (adverts, interval) = slowest.map_or((3, Span::secs(0)), |m| (m.down_adverts, m.running.advert_interval));
    Err(Reason::TooSlow { expected, limit: rules.limit, adverts, interval, delay })
}

fn old(numbers: &Numbers<'_>) -> Result<(), Reason> {
    if !numbers.is_old() {
        return Ok(());
    }
    let found = numbers.facts.version.clone().unwrap_or_else(|| "of an unknown version".to_owned());
    Err(Reason::Version { node: numbers.node.clone(), found, gap: numbers.gap() })
}

/// As far above the owner as the owner is above now; a target that is higher and only held back keeps its distance.
fn mirrored(to: &Member<'_>, from: &Member<'_>) -> i32 {
    if to.effective > from.effective { to.effective } else { 2 * from.effective - to.effective }
}

fn track_file(to: &Numbers<'_>, from: &Numbers<'_>, rules: &Rules<'_>) -> Result<Move, Reason> {
    old(to)?;
    old(from)?;
    if to.nopreempt() {
        return Err(Reason::Nopreempt(to.node.clone()));
    }
    let raised = tracked_raise(to, from, rules, |a, b| 2 * b.effective - a.untracked())?;
    let delay = to.preempt_delay();
    // A reload that comes in between counts with what is on disk.
    let expected = timely(to, to.takeover(|member| raised.effective(member), delay), delay, rules)?;
    let (first, other) = (to.first(), from.first());
    let now = raised.effective(first);
    let why = format!(
        "raise {} from {} to {now} by its tracked file: {now} against {}",
        to.node, first.effective, other.effective
    );
    Ok(raised.into_move(VipStrategy::TrackFile, to, from, expected, why))
}

fn priority(to: &Numbers<'_>, from: &Numbers<'_>, rules: &Rules<'_>) -> Result<Move, Reason> {
    old(to)?;
    old(from)?;
    let (first, other) = (to.first(), from.first());
    let raised = override_raise(to, from, |a, b| (mirrored(a, b), b.effective)).and_then(|raised| {
        // The override says `preempt_delay 0`.
        let none = Span::secs(0);
        let expected = timely(to, to.takeover(|member| raised.effective(member), none), none, rules)?;
        let (base, now) = (i32::from(first.running.base_priority), raised.effective(first));
        let priority = now - first.weight();
        let why = match base == priority {
            true => format!("let {} take over at once with {now} against {}", to.node, other.effective),
            false => format!("raise {} from {base} to {priority}: {now} against {}", to.node, other.effective),
        };
        Ok(raised.into_move(VipStrategy::Priority, to, from, expected, why))
    });
    let Err(refused) = raised else { return raised };
    // A target with `nopreempt` takes nothing from a living owner, however low that one is.
    if matches!(refused, Reason::TooSlow { .. } | Reason::Unpaired { .. }) || to.nopreempt() || from.edit.is_err() {
        return Err(refused);
    }
    let mut priorities = BTreeMap::new();
    for (a, b) in to.with(from)? {
        let below = (2 * a.effective - b.effective).max(1) - b.weight();
        let base = u8::try_from(below.max(1)).ok().filter(|base| i32::from(*base) + b.weight() < a.effective);
        let Some(base) = base else { return Err(refused) };
        priorities.insert(b.name.to_owned(), base);
    }
    let delay = to.preempt_delay();
    let expected = timely(to, to.takeover(|member| member.effective, delay), delay, rules)?;
    let lowered = priorities.get(other.name).copied().unwrap_or_default();
    let effective = i32::from(lowered) + other.weight();
    Ok(Move {
        strategy: Some(VipStrategy::Priority),
        edit: Some(Edit { node: from.node.clone(), how: How::Override(priorities) }),
        push: None,
        expected,
        gap: Span::secs(0),
        why: format!("lower {} from {} to {lowered}, since {refused}", from.node, other.running.base_priority),
        holds: format!("{} against {effective}", first.effective),
        undo: format!("the override of {} is taken out, byte for byte", from.node),
    })
}

/// How overrides raise `to`: by instance, the priority that is aimed at, and the one it must be above.
fn override_raise(
    to: &Numbers<'_>,
    from: &Numbers<'_>,
    aim: impl Fn(&Member<'_>, &Member<'_>) -> (i32, i32),
) -> Result<Raise, Reason> {
    to.editable()?;
    let (mut priorities, mut effective) = (BTreeMap::new(), BTreeMap::new());
    for (a, b) in to.with(from)? {
        let (above, least) = aim(a, b);
        let base = a.base_for(above, least).ok_or_else(|| no_room(to, a, b))?;
        effective.insert(a.name.to_owned(), (i32::from(base) + a.weight()).min(254));
        priorities.insert(a.name.to_owned(), base);
    }
    Ok(Raise { how: How::Override(priorities), effective })
}

/// How the tracked file raises `to` to what is aimed at, by instance.
fn tracked_raise(
    to: &Numbers<'_>,
    from: &Numbers<'_>,
    rules: &Rules<'_>,
    aim: impl Fn(&Member<'_>, &Member<'_>) -> i32,
) -> Result<Raise, Reason> {
    let tracker = tracker(to, rules)?;
    let pairs = to.with(from)?;
    // One value for all instances: the one that asks for most decides.
    let mut value: i32 = 0;
    for (a, b) in &pairs {
        let no_weight = || Reason::NoWeight {
            node: to.node.clone(),
            name: rules.track_file.to_owned(),
            instance: a.name.to_owned(),
        };
        let wanted = aim(a, b).clamp(b.highest() + 1, 254.max(b.highest() + 1)) - a.untracked();
        let one = tracker.value_for(a.name, wanted).ok_or_else(no_weight)?;
        if one.abs() > value.abs() {
            value = one;
        }
    }
    let mut effective = BTreeMap::new();
    for (a, b) in pairs {
        let now = (a.untracked() + tracker.would_add(a.name, value)).min(254);
        if now <= b.highest() || tracker.fails(a.name, value) {
            return Err(no_room(to, a, b));
        }
        effective.insert(a.name.to_owned(), now);
    }
    Ok(Raise { how: How::Track(value), effective })
}

fn no_room(to: &Numbers<'_>, a: &Member<'_>, b: &Member<'_>) -> Reason {
    Reason::NoRoom { target: to.node.clone(), from: a.effective, owner: b.effective }
}

fn tracker<'a>(at: &'a Numbers<'_>, rules: &Rules<'_>) -> Result<&'a Tracker, Reason> {
    let found = at.facts.tracker.as_ref().filter(|tracker| tracker.weights.contains_key(at.first().name));
    found.ok_or_else(|| Reason::NoTracker { node: at.node.clone(), name: rules.track_file.to_owned() })
}

/// The owner's tracked file as a push.
fn fault(from: &Numbers<'_>, rules: &Rules<'_>) -> Result<By, Reason> {
    let tracker = tracker(from, rules)?;
    let file = tracker.file.clone();
    if !tracker.volatile {
        return Err(Reason::Lasting { node: from.node.clone(), file });
    }
    let weight = tracker.weights.get(from.first().name).copied().unwrap_or_default();
    Ok(By::Fault { file, value: if weight < 0 { PUSHED } else { -PUSHED } })
}

/// The owner's tracked link as a push.
fn link(from: &Numbers<'_>, rules: &Rules<'_>) -> Result<By, Reason> {
    let name = rules.track_link.ok_or(Reason::NoLink)?;
    let refuse = |why: &str| Err(Reason::Link { node: from.node.clone(), link: name.to_owned(), why: why.to_owned() });
    let Some(found) = &from.facts.link else { return refuse("is not tracked by keepalived") };
    match found.weights.get(from.first().name) {
        None => refuse("is not tracked by the instance"),
        Some(weight) if *weight != 0 => refuse("is tracked with a weight, so that taking it down is no failure"),
        Some(_) if !found.up => refuse("is not up"),
        Some(_) if found.in_use => refuse("has addresses or carries the VIP: taking it down could cut connections"),
        Some(_) => Ok(By::Link(name.to_owned())),
    }
}

/// Raises the new owner as far as it goes, then makes the old one give up. Taken only when the address stays once the
/// old owner is let go.
fn push(way: VipStrategy, by: By, to: &Numbers<'_>, from: &Numbers<'_>, rules: &Rules<'_>) -> Result<Move, Reason> {
    if way != VipStrategy::Stop {
        old(to)?;
        old(from)?;
    }
    let raised = tracked_raise(to, from, rules, |_, _| PUSHED)
        .or_else(|_| override_raise(to, from, |_, b| (PUSHED, b.untracked())));
    let (first, other) = (to.first(), from.first());
    let now = |member: &Member<'_>| raised.as_ref().map_or(member.effective, |raised| raised.effective(member));
    let stays = from.yields() || to.above(from, |member| Some(now(member)), |member| Some(member.untracked()));
    let gap = to.skew(now);
    let holds = match from.yields() {
        true => format!("{} runs with nopreempt", from.node),
        false => format!("{} against {}", now(first), other.untracked()),
    };
    let how = match &by {
        By::Fault { file, .. } => format!("make {} fail by {file}", from.node),
        By::Link(link) => format!("take {link} of {} down", from.node),
        By::Stop => format!("stop keepalived on {}", from.node),
    };
    let raise = match &raised {
        Ok(_) => format!("raise {} from {} to {}, then ", to.node, first.effective, now(first)),
        Err(_) => String::new(),
    };
    let raised = match raised {
        Ok(raised) if stays => Some(raised),
        Err(_) if stays => None,
        Ok(_) => return Err(no_room(to, first, other)),
        Err(why) => {
            let (owner, target) = (other.untracked(), first.effective);
            return Err(Reason::TakesBack { node: from.node.clone(), owner, target, why: why.to_string() });
        }
    };
    let expected = timely(to, gap, Span::secs(0), rules)?.max(Span::millis(1));
    let back = match &raised {
        Some(Raise { how: How::Track(_), .. }) => format!("the tracked file of {} goes back to 0", to.node),
        Some(_) => format!("the override of {} is taken out, byte for byte", to.node),
        None => "nothing is left to undo".to_owned(),
    };
    Ok(Move {
        strategy: Some(way),
        edit: raised.map(|raised| Edit { node: to.node.clone(), how: raised.how }),
        push: Some(Push { node: from.node.clone(), by }),
        expected,
        gap,
        why: format!("{raise}{how} until the VIP has left it"),
        holds,
        undo: format!("{back}; {} is let go by the same command that pushes it", from.node),
    })
}

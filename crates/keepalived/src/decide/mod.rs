//! What moves the address, by VRRP's rules; pure.
//!
//! A backup takes over when its effective priority is above the owner's, it does not run with `nopreempt`, and three
//! adverts plus a little went by; or when the owner says that it gives up. First comes what is ours: an override or a
//! value of the last move, whose removal alone brings the address back, keeps priorities from climbing with every
//! upgrade. Then the ways that the inventory allows, in its order; the first that is proved is taken:
//!
//! | way | new owner | old owner | gap |
//! | --- | --- | --- | --- |
//! | track-file | its tracked file raises it | | none |
//! | priority | an override raises it, or lowers the old owner | | none |
//! | fault | raised to 254 | fails by its tracked file until the address has left | skew |
//! | link | raised to 254 | its tracked link is down until then | skew |
//! | stop | raised to 254 | keepalived is stopped until then | skew |
//!
//! A raise mirrors the distance between the nodes; a fixed 254 would make weighted checks meaningless, so it is used
//! for a push alone and taken down again after it. Members of a sync group are raised together: a single one that is
//! higher leaves the group stuck for ever.
//!
//! An owner that keeps the address without what is ours loses it.

mod numbers;
mod ways;
mod words;

use rollup_model::{NodeName, Span};

use numbers::{Member, Numbers};
pub use words::{By, Edit, How, Move, Push, Reason, Refused, Rules, Side};

/// Decides how the address gets to `target` and stays there. `None`: it is there and nothing will take it away.
pub fn decide(target: Side<'_>, other: Side<'_>, rules: &Rules<'_>) -> Result<Option<Move>, Refused> {
    let (to, from) = (Numbers::of(target)?, Numbers::of(other)?);
    match (target.facts.vip_here, other.facts.vip_here) {
        (true, true) => Err(Refused::SplitBrain(target.node.clone(), other.node.clone())),
        (false, false) => Err(Refused::NoOwner(target.node.clone(), other.node.clone())),
        (true, false) if from.takes_from(&to) => keep(&to, &from, rules).map(Some),
        (true, false) => Ok(settle(&to, &from)),
        (false, true) => fetch(&to, &from, rules).map(Some),
    }
}

/// Which of two nodes has the address in the end when everything of ours is taken out of both. `None`: not known.
pub fn rests_at<'a>(owner: Side<'a>, other: Side<'a>) -> Option<&'a NodeName> {
    let (here, there) = (Numbers::of(owner).ok()?, Numbers::of(other).ok()?);
    let known = |numbers: &Numbers<'_>| numbers.members.iter().all(|member| member.plain_effective().is_some());
    if !known(&here) || !known(&there) {
        return None;
    }
    let leaves = !there.nopreempt_plain() && there.above(&here, Member::plain_effective, Member::plain_effective);
    Some(if leaves { other.node } else { owner.node })
}

/// A move that changes nothing but what is ours.
fn ours(node: &NodeName, expected: Span, gap: Span, why: String) -> Move {
    Move {
        strategy: None,
        edit: Some(Edit { node: node.clone(), how: How::TakeOut }),
        push: None,
        expected,
        gap,
        why,
        holds: "by what the operator configured".to_owned(),
        undo: "by a move of its own".to_owned(),
    }
}

const NOW: Span = Span::secs(0);

/// The target has the address and keeps it. What it does not need for that is taken out: with `nopreempt` on the other
/// node, the pair is then again exactly what the operator made it.
fn settle(to: &Numbers<'_>, from: &Numbers<'_>) -> Option<Move> {
    if from.facts.pushed.is_some() || (from.tracks() && from.state_that_cannot_own().is_some()) {
        let why = format!("let {} go, which a push that was cut off keeps down", from.node);
        return Some(ours(from.node, NOW, NOW, why));
    }
    let keeps = from.yields() || to.above(from, Member::plain_effective, |member| Some(member.highest()));
    if (to.written() || to.tracks() || to.facts.pushed.is_some()) && to.can_be_plain() && keeps {
        let what = if to.written() { "override" } else { "value in the tracked file" };
        let why = format!("remove the {what} of {}, which keeps the VIP without it", to.node);
        return Some(ours(to.node, NOW, NOW, why));
    }
    ways::lower_to_mirrored(to, from)
}

/// The target has the address, but the other node would take it.
fn keep(to: &Numbers<'_>, from: &Numbers<'_>, rules: &Rules<'_>) -> Result<Move, Refused> {
    let (highest, own) = (from.first().highest(), to.first().effective);
    let loses = !from.above(to, Member::plain_effective, |member| Some(member.effective));
    let known = from.members.iter().all(|member| member.plain_effective().is_some());
    if from.ours() && from.can_be_plain() && (from.nopreempt_plain() || (known && loses)) {
        let what = if from.tracks() { "value in the tracked file" } else { "override" };
        let why = format!("remove the {what} of {}, which would take the VIP with {highest} against {own}", from.node);
        return Ok(ours(from.node, NOW, NOW, why));
    }
    ways::hold(to, from, rules)
}

/// The other node has the address.
fn fetch(to: &Numbers<'_>, from: &Numbers<'_>, rules: &Rules<'_>) -> Result<Move, Refused> {
    if to.facts.pushed.is_some() || (to.tracks() && to.state_that_cannot_own().is_some()) {
        let why = format!("let {} go, which a push that was cut off keeps down", to.node);
        return Ok(ours(to.node, NOW, NOW, why));
    }
    if let Some(state) = to.state_that_cannot_own() {
        return Err(Refused::State(to.node.clone(), state));
    }
    let now = |member: &Member<'_>| Some(member.effective);
    let timely = |plan: Move| Some(plan).filter(|plan| plan.expected < rules.limit);
    if to.above(from, now, now) && !to.nopreempt() && !to.pending() {
        let (high, low) = (to.first().effective, from.first().effective);
        let why = format!("{} already has priority {high} against {low}", to.node);
        let expected = to.takeover(|member| member.effective, to.preempt_delay());
        if let Some(done) = timely(Move { edit: None, ..ours(to.node, expected, to.gap(), why) }) {
            return Ok(done);
        }
    }
    if from.ours() && from.can_be_plain() && to.above(from, now, Member::plain_effective) && !to.nopreempt() {
        let (high, low) = (to.first().effective, from.first().plain_effective().unwrap_or_default());
        let what = if from.tracks() { "value in the tracked file" } else { "override" };
        let why = format!("remove the {what} of {}: {} wins with {high} against {low}", from.node, to.node);
        let expected = to.takeover(|member| member.effective, to.preempt_delay());
        if let Some(done) = timely(ours(from.node, expected, to.gap(), why)) {
            return Ok(done);
        }
    }
    if to.ours() && to.can_be_plain() && to.above(from, Member::plain_effective, now) && !to.nopreempt_plain() {
        let (high, low) = (to.first().plain_effective().unwrap_or_default(), from.first().effective);
        let what = if to.tracks() { "value in the tracked file" } else { "override" };
        let why = format!("remove the {what} of {}: it wins with {high} against {low}", to.node);
        let plain = |member: &Member<'_>| member.plain_effective().unwrap_or(member.effective);
        if let Some(done) = timely(ours(to.node, to.takeover(plain, to.plain_delay()), to.gap(), why)) {
            return Ok(done);
        }
    }
    ways::take(to, from, rules)
}

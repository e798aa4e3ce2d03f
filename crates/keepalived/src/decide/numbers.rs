//! What counts of one node: the priorities of every instance that moves together with the address.

use std::time::Duration;

use rollup_model::{NodeName, Span};

use super::{Reason, Refused, Side};
use crate::{Configured, KeepalivedFacts, Running};

/// What counts of one node.
pub(super) struct Numbers<'a> {
    pub(super) node: &'a NodeName,
    pub(super) facts: &'a KeepalivedFacts,
    /// The instance of the address first, then the other members of its sync group.
    pub(super) members: Vec<Member<'a>>,
    pub(super) edit: Result<(), &'a str>,
}

/// One instance of a node.
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) running: &'a Running,
    pub(super) effective: i32,
    /// Priority of the configuration without our override, where it is known.
    plain: Option<i32>,
    /// What our tracked file adds now.
    tracked: i32,
    /// An override is in the file.
    pub(super) written: bool,
    /// An override is in the file, or still in the daemon.
    overridden: bool,
    /// The file says something else than the daemon runs with: a reload would change it.
    pending: bool,
    /// Base priority after a reload.
    on_disk: i32,
    nopreempt_on_disk: bool,
    nopreempt_plain: bool,
    plain_delay: Span,
    pub(super) down_adverts: u64,
}

impl<'a> Member<'a> {
    fn of(
        name: &'a str,
        running: &'a Running,
        configured: Option<&Configured>,
        written: Option<u8>,
        tracked: i32,
    ) -> Self {
        let base = i32::from(running.base_priority);
        let known = configured.and_then(|configured| configured.priority).map(i32::from);
        let plain = known.or(if written.is_none() { Some(base) } else { None });
        let on_disk = written.map(i32::from).or(plain).unwrap_or(base);
        let nopreempt_plain = configured.map_or(running.nopreempt, |configured| configured.nopreempt);
        Self {
            name,
            running,
            effective: i32::from(running.effective_priority),
            plain,
            tracked,
            written: written.is_some(),
            overridden: written.is_some() || plain.is_some_and(|plain| plain != base),
            pending: on_disk != base,
            on_disk,
            nopreempt_on_disk: written.is_none() && nopreempt_plain,
            nopreempt_plain,
            plain_delay: configured.map_or(running.preempt_delay, |configured| configured.preempt_delay),
            down_adverts: configured.map_or(3, |configured| configured.down_adverts),
        }
    }

    /// What tracked checks add to the base priority now, our own file included.
    pub(super) fn weight(&self) -> i32 {
        self.effective - i32::from(self.running.base_priority)
    }

    /// The effective priority without anything of ours.
    pub(super) fn plain_effective(&self) -> Option<i32> {
        Some(self.plain? + self.weight() - self.tracked)
    }

    /// The effective priority without what is in our tracked file.
    pub(super) fn untracked(&self) -> i32 {
        self.effective - self.tracked
    }

    /// The effective priority now or after a reload, whichever is higher.
    pub(super) fn highest(&self) -> i32 {
        self.effective.max(self.on_disk + self.weight())
    }

    /// Whether this instance takes the address from a living owner, now or after a reload that may come at any time.
    fn takes_from(&self, owner: &Member<'_>) -> bool {
        let now = !self.running.nopreempt && self.effective > owner.effective;
        let later = !self.nopreempt_on_disk && self.on_disk + self.weight() > owner.on_disk + owner.weight();
        now || later
    }

    /// Whether it never takes the address from a living owner, before and after a reload.
    fn yields(&self) -> bool {
        self.running.nopreempt && self.nopreempt_on_disk
    }

    /// The base priority that makes the effective one `above`, or as near as 254 allows; above `least` in any case.
    pub(super) fn base_for(&self, above: i32, least: i32) -> Option<u8> {
        let base = (above.max(least + 1) - self.weight()).clamp(1, 254);
        u8::try_from(base).ok().filter(|base| (i32::from(*base) + self.weight()).min(254) > least)
    }

    /// How long the node listens before it takes over, at most.
    fn takeover(&self, priority: i32, delay: Span) -> Duration {
        let missing = u32::try_from(self.down_adverts).unwrap_or(u32::MAX);
        self.interval().saturating_mul(missing) + self.skew(priority) + delay.duration()
    }

    fn interval(&self) -> Duration {
        self.running.advert_interval.duration()
    }

    /// The last part of that, which lets the highest of several backups go first: a part of a second in VRRPv2, of the
    /// interval in VRRPv3. It is all there is to wait for when an owner says that it gives up.
    fn skew(&self, priority: i32) -> Duration {
        let unit = if self.running.version >= 3 { self.interval() } else { Duration::from_secs(1) };
        unit * u32::try_from(256 - priority.clamp(1, 255)).unwrap_or(0) / 256
    }
}

impl<'a> Numbers<'a> {
    pub(super) fn of(side: Side<'a>) -> Result<Self, Refused> {
        let Side { node, facts } = side;
        if !facts.active {
            return Err(Refused::Inactive(node.clone()));
        }
        let silent = || Refused::Silent(node.clone());
        let tracked = |name: &str| facts.tracker.as_ref().map_or(0, |tracker| tracker.adds(name));
        let running = facts.running.as_ref().ok_or_else(silent)?;
        let name = facts.instance.as_deref().unwrap_or(&running.instance);
        let first = Member::of(name, running, facts.configured.as_ref(), facts.override_priority, tracked(name));
        let mut members = vec![first];
        for other in &facts.others {
            let running = other.running.as_ref().ok_or_else(silent)?;
            let (configured, written) = (other.configured.as_ref(), other.override_priority);
            members.push(Member::of(&other.name, running, configured, written, tracked(&other.name)));
        }
        Ok(Self { node, facts, members, edit: facts.refusal.as_deref().map_or(Ok(()), Err) })
    }

    /// The instance of the address.
    pub(super) fn first(&self) -> &Member<'a> {
        &self.members[0]
    }

    pub(super) fn editable(&self) -> Result<(), Reason> {
        self.edit.map_err(|why| Reason::Uneditable { node: self.node.clone(), why: why.to_owned() })
    }

    /// Every instance with its like on the other node: that of the address, and those with the same router id.
    pub(super) fn with<'b>(&'b self, other: &'b Numbers<'a>) -> Result<Vec<(&'b Member<'a>, &'b Member<'a>)>, Reason> {
        let like = |mine: &'b Member<'a>| {
            let router = mine.running.virtual_router_id;
            let same = other.members[1..].iter().find(|theirs| theirs.running.virtual_router_id == router);
            let unpaired = || Reason::Unpaired { node: self.node.clone(), instance: mine.name.to_owned() };
            Ok((mine, same.ok_or_else(unpaired)?))
        };
        let mut pairs = vec![(self.first(), other.first())];
        for mine in &self.members[1..] {
            pairs.push(like(mine)?);
        }
        match other.members.get(pairs.len()) {
            Some(more) => Err(Reason::Unpaired { node: other.node.clone(), instance: more.name.to_owned() }),
            None => Ok(pairs),
        }
    }

    /// Whether every instance is above its like by this measure.
    pub(super) fn above(
        &self,
        other: &Numbers<'a>,
        mine: impl Fn(&Member<'a>) -> Option<i32>,
        theirs: impl Fn(&Member<'a>) -> Option<i32>,
    ) -> bool {
        let higher = |(a, b): &(&Member<'a>, &Member<'a>)| mine(a).zip(theirs(b)).is_some_and(|(a, b)| a > b);
        self.with(other).is_ok_and(|pairs| pairs.iter().all(higher))
    }

    /// Whether any instance takes from its like. In a group that alone moves nothing, but leaves the group in a state in
    /// which it never moves again.
    pub(super) fn takes_from(&self, owner: &Numbers<'a>) -> bool {
        match self.with(owner) {
            Ok(pairs) => pairs.iter().any(|(mine, theirs)| mine.takes_from(theirs)),
            Err(_) => self.first().takes_from(owner.first()),
        }
    }

    /// Whether no instance ever takes from a living owner.
    pub(super) fn yields(&self) -> bool {
        self.members.iter().all(Member::yields)
    }

    pub(super) fn nopreempt(&self) -> bool {
        self.members.iter().any(|member| member.running.nopreempt)
    }

    pub(super) fn nopreempt_plain(&self) -> bool {
        self.members.iter().any(|member| member.nopreempt_plain)
    }

    pub(super) fn pending(&self) -> bool {
        self.members.iter().any(|member| member.pending)
    }

    /// An override of ours is in the file.
    pub(super) fn written(&self) -> bool {
        self.members.iter().any(|member| member.written)
    }

    /// Something of ours counts, in the file, in the daemon, or in the tracked file.
    pub(super) fn ours(&self) -> bool {
        self.members.iter().any(|member| member.overridden) || self.tracks()
    }

    /// A value of ours is in the tracked file.
    pub(super) fn tracks(&self) -> bool {
        self.facts.tracker.as_ref().is_some_and(|tracker| tracker.value != 0)
    }

    /// Whether everything of ours can be taken out: a tracked file always can.
    pub(super) fn can_be_plain(&self) -> bool {
        self.edit.is_ok() || !self.members.iter().any(|member| member.overridden)
    }

    pub(super) fn preempt_delay(&self) -> Span {
        self.members.iter().map(|member| member.running.preempt_delay).max().unwrap_or(Span::secs(0))
    }

    pub(super) fn plain_delay(&self) -> Span {
        self.members.iter().map(|member| member.plain_delay).max().unwrap_or(Span::secs(0))
    }

    pub(super) fn state_that_cannot_own(&self) -> Option<crate::State> {
        let states = self.members.iter().map(|member| member.running.state);
        states.into_iter().find(|state| !matches!(state, crate::State::Backup | crate::State::Master))
    }

    /// How long the slowest instance listens before it takes over.
    pub(super) fn takeover(&self, priority: impl Fn(&Member<'a>) -> i32, delay: Span) -> Span {
        let all = self.members.iter().map(|member| member.takeover(priority(member), delay));
        span(all.max().unwrap_or_default())
    }

    /// How long the slowest instance waits after the owner has given up. Before 2.0.0 an owner waits another advert
    /// before it has its addresses.
    pub(super) fn skew(&self, priority: impl Fn(&Member<'a>) -> i32) -> Span {
        let more = |member: &Member<'a>| if self.is_old() { member.interval() } else { Duration::ZERO };
        let all = self.members.iter().map(|member| member.skew(priority(member)) + more(member));
        span(all.max().unwrap_or_default())
    }

    /// Whether keepalived moves the address without a gap: since 2.0.0. Versions that cannot be told do not count.
    pub(super) fn is_old(&self) -> bool {
        let major = self.facts.version.as_deref().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        major.is_none_or(|major| major < 2)
    }

    /// How long the address is nowhere when priorities move it.
    pub(super) fn gap(&self) -> Span {
        if self.is_old() { span(self.first().interval() * 2) } else { Span::secs(0) }
    }
}

fn span(time: Duration) -> Span {
    Span::millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

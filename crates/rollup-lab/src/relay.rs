//! A bad network between one node and everybody else: slow, lossy, or deaf to VRRP in one direction.
//!
//! The node's cable is moved from the lab's bridge to a bridge of its own, and a process of ours carries frames between
//! the two over a pair of TAP devices. Many kernels have neither netem nor nftables; every one that can run a lab has
//! these. The devices offer no offloads, so the kernel hands out whole frames with their checksums in place.

use std::{
    io::BufRead,
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::{Lab, LabName, Node, network, wait};

/// What the relay prints when it works.
const READY: &str = "relaying";
/// Larger than any frame of the lab's network.
const FRAME: usize = 2048;

/// What is wrong with the network of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Impairment {
    /// Added to every round trip, half of it in each direction.
    pub delay_ms: u64,
    /// Lost frames of each direction, out of a hundred.
    pub loss_percent: u64,
    /// Delay and loss concern ssh alone: the operator is far away, the nodes are not far from each other.
    pub only_ssh: bool,
    /// The node hears no adverts.
    pub drop_vrrp_in: bool,
    /// Nobody hears the node's adverts.
    pub drop_vrrp_out: bool,
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// A relay that works; the network is whole again when this is dropped.
#[derive(Debug)]
pub struct Impaired {
    child: Child,
    lab: LabName,
    node: Node,
}

impl Lab {
    /// Makes the network of a node a bad one.
    ///
    /// `program` is an executable that understands `lab relay` as `xtask` does: usually the running one.
    pub fn impair(&self, program: &Path, node: &str, impairment: Impairment) -> Result<Impaired> {
        let node = self.node(node)?.clone();
        let mut command = self.operator_command(program);
        command.args(["lab", "relay", &node.name, "--name", &self.name().to_string()]);
        command.args(["--delay-ms", &impairment.delay_ms.to_string()]);
        command.args(["--loss-percent", &impairment.loss_percent.to_string()]);
        let Impairment { only_ssh, drop_vrrp_in, drop_vrrp_out, .. } = impairment;
        let words = [(only_ssh, "--only-ssh"), (drop_vrrp_in, "--drop-vrrp-in"), (drop_vrrp_out, "--drop-vrrp-out")];
        command.args(words.into_iter().filter(|(given, _)| *given).map(|(_, word)| word));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let child = child.with_context(|| format!("cannot start {}", program.display()))?;
        let mut relay = Impaired { child, lab: self.name().clone(), node };
        let mut line = String::new();
        let stdout = relay.child.stdout.as_mut().context("standard output is a pipe")?;
        std::io::BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.trim() == READY, "the relay of {} does not work", relay.node.name);
        Ok(relay)
    }
}

impl Drop for Impaired {
    fn drop(&mut self) {
        // It may have ended by itself; what counts is that the cable is back.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        network::join(&self.lab, &self.node);
    }
}

/// Relays the frames of a node in this process, which must be in the operator's namespace, until it is told to stop.
pub fn run_relay(lab: &Lab, node: &str, impairment: Impairment, say: &dyn Fn(&str) -> Result<()>) -> Result<()> {
    let node = lab.node(node)?;
    let (near, far) = network::relay_ports(node);
    let open = |name: &str| {
        let device = DeviceBuilder::new().name(name).layer(Layer::L2).build_sync();
        device.map(Arc::new).with_context(|| format!("cannot make the TAP device {name}"))
    };
    let (near_device, far_device) = (open(&near)?, open(&far)?);
    network::part(lab.name(), node)?;
    carry(Arc::clone(&near_device), Arc::clone(&far_device), Way::Out, impairment);
    carry(far_device, near_device, Way::In, impairment);
    say(READY)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            pressed = tokio::signal::ctrl_c() => pressed,
        }
    });
    network::join(lab.name(), node);
    ended.context("cannot wait for a signal")
}

/// Carries frames one way for as long as the process lives.
fn carry(from: Arc<SyncDevice>, to: Arc<SyncDevice>, way: Way, impairment: Impairment) {
    let (queue, due) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut frame = [0; FRAME];
        let mut dice = Dice(way as u64 + 1);
        while let Ok(length) = from.recv(&mut frame) {
            let frame = &frame[..length];
            if let Some(delay) = impairment.fate(frame, way, &mut dice)
                && queue.send((Instant::now() + delay, frame.to_vec())).is_err()
            {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (at, frame) in due {
            wait::rest(at.saturating_duration_since(Instant::now()));
            // A device that takes no frame has lost it, as networks do.
            let _lost = to.send(&frame);
        }
    });
}

impl Impairment {
    /// How long a frame is held up; nothing when it is lost.
    fn fate(self, frame: &[u8], way: Way, dice: &mut Dice) -> Option<Duration> {
        let seen = Seen::new(frame);
        let deaf = if way == Way::In { self.drop_vrrp_in } else { self.drop_vrrp_out };
        if seen == Seen::Vrrp && deaf {
            return None;
        }
        if self.only_ssh && seen != Seen::Ssh {
            return Some(Duration::ZERO);
        }
        let lost = dice.hundred() < self.loss_percent;
        (!lost).then(|| Duration::from_millis(self.delay_ms) / 2)
    }
}

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Vrrp,
    Ssh,
    Other,
}

impl Seen {
    /// Looks at an Ethernet frame: IPv4 protocol 112, or a TCP port 22 on either side.
    fn new(frame: &[u8]) -> Self {
        const IPV4: [u8; 2] = [0x08, 0x00];
        let packet = frame.get(12..).and_then(|rest| rest.strip_prefix(&IPV4));
        let Some(packet) = packet else { return Self::Other };
        let header = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
        let ports = packet.get(header..header + 4);
        match (packet.get(9), ports) {
            (Some(112), _) => Self::Vrrp,
            (Some(6), Some([0, 22, ..] | [_, _, 0, 22])) => Self::Ssh,
            _ => Self::Other,
        }
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn hundred(&mut self) -> u64 {
        // splitmix64, as in Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(protocol: u8, ports: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45]);
        frame.extend([0; 8]);
        frame.push(protocol);
        frame.extend([0; 10]);
        frame.extend(ports);
        frame
    }

    #[test]
    fn frames_are_told_apart_and_short_ones_do_no_harm() {
        assert_eq!(Seen::new(&frame(112, [0; 4])), Seen::Vrrp);
        assert_eq!(Seen::new(&frame(6, [0, 22, 200, 1])), Seen::Ssh);
        assert_eq!(Seen::new(&frame(6, [200, 1, 0, 22])), Seen::Ssh);
        assert_eq!(Seen::new(&frame(17, [0, 22, 0, 22])), Seen::Other);
        let whole = frame(6, [0, 22, 0, 22]);
        assert!((0..whole.len()).all(|length| Seen::new(&whole[..length]) == Seen::Other));
    }

    #[test]
    fn adverts_are_lost_in_the_direction_that_was_asked_for() {
        let deaf = Impairment { drop_vrrp_in: true, ..Impairment::default() };
        let advert = frame(112, [0; 4]);
        assert_eq!(deaf.fate(&advert, Way::In, &mut Dice(1)), None);
        assert_eq!(deaf.fate(&advert, Way::Out, &mut Dice(1)), Some(Duration::ZERO));
        assert_eq!(deaf.fate(&frame(6, [0, 22, 0, 1]), Way::In, &mut Dice(1)), Some(Duration::ZERO));
    }

    #[test]
    fn half_the_delay_goes_each_way_and_only_to_ssh_when_that_was_asked_for() {
        let far = Impairment { delay_ms: 300, only_ssh: true, ..Impairment::default() };
        assert_eq!(far.fate(&frame(6, [0, 22, 0, 1]), Way::Out, &mut Dice(1)), Some(Duration::from_millis(150)));
        assert_eq!(far.fate(&frame(6, [0, 80, 0, 1]), Way::Out, &mut Dice(1)), Some(Duration::ZERO));
    }

    #[test]
    fn five_of_a_hundred_are_lost_and_the_same_ones_each_time() {
        let lossy = Impairment { loss_percent: 5, ..Impairment::default() };
        let lost = || {
            let mut dice = Dice(1);
            (0..10_000).filter(|_| lossy.fate(&[], Way::In, &mut dice).is_none()).count()
        };
        assert!((400..600).contains(&lost()), "{}", lost());
        assert_eq!(lost(), lost());
    }
}

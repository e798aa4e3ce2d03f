//! Asking a node before clients do: what compiles, connects and caches at its first requests has done so when the VIP
//! comes.

use std::time::{Duration, Instant};

use anyhow::Result;
use rollup_engine::{Action, Cx, State};
use rollup_model::{Inventory, NodeName, inventory::Meter};
use serde::Deserialize;
use serde_json::json;

use crate::http;

/// How long a node is asked, at most.
const LONGEST: Duration = Duration::from_secs(5);
/// How many requests make a service that compiles as it goes answer at its usual speed.
const ROUNDS: usize = 100;
/// Requests at a time.
const WIDTH: usize = 4;

/// The node's service has answered the meter's questions at its own address, many times.
///
/// A look, not a gate: a service that listens on the VIP alone cannot be asked before it has it, and is not held back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warm {}

#[async_trait::async_trait]
impl Action for Warm {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let (inventory, node) = (cx.inventory(), cx.node()?);
        let Some(meter) = &inventory.meter else { return Ok(State::seen("there is no [meter] to ask with")) };
        let Some((read, write)) = at_node(inventory, meter, node) else {
            return Ok(State::seen("the meter's URLs do not name the VIP"));
        };
        let began = Instant::now();
        let (mut asked, mut good, mut first, mut last) = (0u32, 0u32, None, Duration::ZERO);
        for round in 0..ROUNDS {
            if began.elapsed() > LONGEST {
                break;
            }
            let one = |at: usize| {
                // The probe of writes is made for being sent; every other question is one.
                let (url, body) = match &write {
                    Some(url) if at % 2 == 1 => (url, Some(meter.write_body.as_str())),
                    _ => (&read, None),
                };
                http::request(url, body, Duration::from_secs(1))
            };
            let sent = Instant::now();
            let answers = futures_util::future::join_all((0..WIDTH).map(one)).await;
            last = sent.elapsed();
            first.get_or_insert(last);
            asked += answers.len() as u32;
            good += answers.iter().flatten().filter(|answer| (200..300).contains(&answer.status)).count() as u32;
            // Nobody listens at this address: there is nothing to warm.
            if round == 0 && answers.iter().all(Result::is_err) {
                return Ok(State::seen(format!("nothing answers at {read}")));
            }
        }
        let (first, last) = (first.unwrap_or_default().as_millis(), last.as_millis());
        Ok(State::seen(json!({
            "summary": format!("{good} of {asked} answered well; {first} ms at first, {last} ms at last"),
        })))
    }
}

/// The meter's URLs with the node's own address in the place of the VIP; `None`: they do not name it.
fn at_node(inventory: &Inventory, meter: &Meter, node: &NodeName) -> Option<(String, Option<String>)> {
    let host = inventory.node(node)?.host.as_str();
    let vip = inventory.vip.address.to_string();
    let own = |url: &String| {
        let rest = url.strip_prefix("http://")?.strip_prefix(vip.as_str())?;
        rest.starts_with([':', '/']).then(|| format!("http://{host}{rest}"))
    };
    Some((own(&meter.read_url)?, meter.write_url.as_ref().and_then(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_own_address_takes_the_place_of_the_vip_and_nothing_else() {
        let inventory = rollup_model::inventory::load(
            "cluster={name='o'}\nnodes=[{name='a',host='10.0.0.1'},{name='b',host='10.0.0.2'}]\nvip={address='10.0.0.9'}\n\
             database={engine='postgresql',data_dir='/d',unit='p.service',name='o'}\nservice={units=['o.service']}\n\
             meter={read_url='http://10.0.0.9:8080/x?at=10.0.0.9',write_url='http://10.0.0.90/w'}\n",
        )
        .unwrap();
        let meter = inventory.meter.as_ref().unwrap();
        let (read, write) = at_node(&inventory, meter, &NodeName::new("b").unwrap()).unwrap();
        assert_eq!((read.as_str(), write), ("http://10.0.0.2:8080/x?at=10.0.0.9", None), "another host is left alone");
    }
}

//! Every check that this crate's subjects answer.

use rollup_model::Check;

pub(crate) const CHECKS: [Check; 8] = [
    Check::new("health.readable", "PRE-6", "what a node says of its health can be read"),
    Check::new("health.unit", "PRE-6", "every unit of service, database and keepalived is active"),
    Check::new("health.port", "PRE-6", "every port of the service listens"),
    Check::new("health.database", "PRE-6", "the database takes a connection on its node"),
    Check::new("health.url", "PRE-6", "every health URL answers 200"),
    Check::new("health.keepalived", "PRE-6", "keepalived is what it should be on its node"),
    Check::new("health.look", "PRE-6", "everything answered in time"),
    Check::new("service.enabled", "PRE-6", "the service's units start with the node"),
];

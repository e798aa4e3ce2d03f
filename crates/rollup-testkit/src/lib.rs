//! rollup-testkit

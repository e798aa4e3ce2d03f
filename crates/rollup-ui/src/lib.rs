//! rollup-ui

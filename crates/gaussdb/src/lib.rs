//! gaussdb

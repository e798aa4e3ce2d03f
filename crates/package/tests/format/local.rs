//! This machine as a node: runs a command's interpreter as it is.

use std::process::Stdio;

use rollup_remote::{Cmd, Host, Output, RemoteError};
use tokio::io::{AsyncWrite, AsyncWriteExt};

pub(crate) struct Local;

#[async_trait::async_trait]
impl Host for Local {
    fn name(&self) -> &str {
        "node-a"
    }

    async fn exec(&self, cmd: &Cmd) -> Result<Output, RemoteError> {
        let mut out = Vec::new();
        let output = self.exec_to(cmd, &mut out).await?;
        Ok(Output { stdout: String::from_utf8_lossy(&out).into_owned(), ..output })
    }

    async fn exec_to(&self, cmd: &Cmd, sink: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<Output, RemoteError> {
        let mut program = tokio::process::Command::new(&cmd.argv[0]);
        program.args(&cmd.argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.kill_on_drop(true).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&cmd.stdin.read_all().await.unwrap()).await.unwrap();
        drop(stdin);
        let mut stdout = child.stdout.take().unwrap();
        let copied = tokio::io::copy(&mut stdout, sink).await;
        drop(stdout);
        let copied = match copied {
            Ok(_) => sink.flush().await,
            Err(error) => Err(error),
        };
        let ended = child.wait_with_output().await.unwrap();
        copied.map_err(|error| RemoteError::sink(self.name(), cmd, &error))?;
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        match ended.status.code() {
            Some(0) => Ok(Output { stdout: String::new(), stderr }),
            code => Err(RemoteError::Exit {
                host: self.name().to_owned(),
                id: cmd.id.to_owned(),
                code: code.unwrap_or(-1),
                stdout: String::new(),
                stderr,
            }),
        }
    }
}

/// Reads a package as one that lies on this node.
pub(crate) fn read(
    archive: &std::path::Path,
    manifest: Option<&std::path::Path>,
    policy: &rollup_model::inventory::PackagePolicy,
) -> Result<(rollup_model::Release, package::Listing), package::PackageError> {
    let node = "node-a".parse().unwrap();
    let asked = package::OnNode { node: &node, path: archive, manifest, limit: std::time::Duration::from_secs(60) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(package::read_on_node(rollup_remote::ReadOnly::new(&Local), &asked, policy)).unwrap()
}

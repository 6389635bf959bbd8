//! `photometa completions`: what a shell needs to complete the program's words.

use clap::Args;
use clap_complete::{Shell, generate};

use super::{Failure, command, print};

/// What `completions --help` ends with.
const EXAMPLES: &str = "\
Examples:
  source <(photometa completions bash)
  photometa completions zsh > ~/.zfunc/_photometa
  photometa completions fish > ~/.config/fish/completions/photometa.fish";

/// Prints a script for a shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut command(), "photometa", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}

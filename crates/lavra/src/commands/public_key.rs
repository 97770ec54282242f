use super::Outcome;
use crate::cli::Context;
use crate::show::Format;
use crate::wiring::Wiring;
use serde_json::json;

/// Prints the public key of a scope: with it in `public_keys` of lavra.yaml, a project without the key file can take in
/// columns masked by `encrypt(scope, homomorphic)`. It opens nothing.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra public-key amounts")]
pub struct PublicKey {
    /// The key scope, as the mask names it
    pub scope: String,
}

pub async fn run(context: &Context, args: PublicKey) -> Outcome {
    let wiring = Wiring::open(context.ask()?).await?;
    let key = privacy::he::public_key(&args.scope, &*wiring.open_keys().await?)?.to_string();
    match context.format {
        Format::Json => println!("{}", json!({ "scope": args.scope, "public_key": key })),
        Format::Table | Format::Csv => println!("{key}"),
    }
    Ok(0)
}

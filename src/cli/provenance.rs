//! `phasegraph provenance`.

use phasegraph::cache::StoreLock;
use phasegraph::diag::exit;
use phasegraph::provenance::{self, Credits, Finding, Lineage, Named, Place};
use phasegraph::stages;

use super::args::{Provenance, ProvenanceFormat};
use super::common::{print, short};
use super::failure::Failure;
use super::surroundings::now;

pub fn run(args: &Provenance) -> Result<u8, Failure> {
    if args.out.is_some() && args.format != ProvenanceFormat::RoCrate {
        return Err(Failure::Usage("--out is for --format ro-crate: text and JSON go to standard output"));
    }
    let place = Place::find(&args.output, args.dir.as_deref()).map_err(provenance::WalkError::from)?;
    // Nothing is to be removed between looking at it and linking to it.
    let _shared = StoreLock::share_if_there(&place.layout.store())?;
    let lineage = provenance::walk(&place)?;
    match (args.format, &args.out) {
        (ProvenanceFormat::RoCrate, Some(out)) => {
            let written = provenance::write_crate(
                &lineage,
                &place.layout.store(),
                &stages::catalog(),
                &credits(args),
                out,
                now(),
            );
            match written {
                // What is wrong is told below, with both digests.
                Err(provenance::CrateError::NotAsRecorded { .. }) => {
                    eprintln!("error: no crate was written: it would vouch for what was not made");
                }
                written => {
                    let written = written?;
                    let (files, bytes) = (written.files, written.bytes);
                    print(&format!("{}: {files} files, {bytes} bytes\n", short(&written.folder)))?;
                }
            }
        }
        (ProvenanceFormat::Json, _) => {
            print(&provenance::json(&lineage).map_err(|e| Failure::Output(e.into()))?)?;
        }
        _ => print(&provenance::text(&lineage, short))?,
    }
    verdict(&lineage)
}

fn credits(args: &Provenance) -> Credits {
    let named = |text: &Option<String>| text.as_deref().map(Named::parse);
    Credits {
        author: named(&args.author),
        organization: named(&args.organization),
        license: named(&args.license),
    }
}

fn verdict(lineage: &Lineage) -> Result<u8, Failure> {
    let findings = lineage.findings();
    if findings.is_empty() {
        return Ok(exit::OK);
    }
    let edited = findings.iter().any(|f| matches!(f, Finding::Result { .. }));
    let hint = if edited {
        "`phasegraph run` puts back what was made, or makes it again; keep changed files elsewhere"
    } else {
        "`phasegraph store verify` looks at the whole store; the next run makes again what it needs"
    };
    Err(Failure::Damage { what: findings.iter().map(Finding::to_string).collect(), hint })
}

//! As much of `protoc` as a build script asks for: `.proto` files to a descriptor set. orlando-cluster
//! calls one from the path; this one is built from a crate, so that the comparison needs nothing installed.

use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut out, mut includes, mut files) = (None, Vec::new(), Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-o" => out = args.next().map(PathBuf::from),
            "-I" => includes.extend(args.next().map(PathBuf::from)),
            "--include_imports" | "--include_source_info" => {}
            other if other.starts_with('-') => return Err(format!("{other} is not known").into()),
            file => files.push(PathBuf::from(file)),
        }
    }
    let out = out.ok_or("nowhere to write to: -o is missing")?;
    std::fs::write(out, protox::compile(files, includes)?.encode_to_vec())?;
    Ok(())
}

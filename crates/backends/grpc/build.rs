//! Compiles the protocol without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["gleaner/v1/leader.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        // Payloads are passed on by reference count.
        .bytes(".")
        .compile_fds(files)?;
    Ok(())
}

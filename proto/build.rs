//! Compiles the protocol files with a compiler written in Rust: nobody has to install protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["link.proto", "tunnel.proto"], ["."])?;
    tonic_prost_build::configure().compile_fds(files)?;
    println!("cargo:rerun-if-changed=link.proto");
    println!("cargo:rerun-if-changed=tunnel.proto");
    Ok(())
}

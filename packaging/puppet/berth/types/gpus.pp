# The host's GPUs: section `[gpus]` of agent.toml.
type Berth::Gpus = Struct[{
    Optional['manage']  => Boolean,
    Optional['only']    => Array[Berth::Quotable],
    Optional['library'] => Berth::Path,
    Optional['give']    => Enum['auto', 'request', 'cdi', 'runtime'],
}]

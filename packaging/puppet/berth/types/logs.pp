# What agent and tunnel log, and how: section `[logs]` of agent.toml.
type Berth::Logs = Struct[{
    Optional['format'] => Enum['text', 'ecs'],
    Optional['level']  => Enum['error', 'warn', 'info', 'debug', 'trace'],
}]

# Versions below which `berth-agent check` finds a program wrong: section `[floors]` of agent.toml.
type Berth::Floors = Struct[{
    Optional['runc']    => Pattern[/\A\d+(\.\d+)*\z/],
    Optional['toolkit'] => Pattern[/\A\d+(\.\d+)*\z/],
    Optional['engine']  => Pattern[/\A\d+(\.\d+)*\z/],
}]

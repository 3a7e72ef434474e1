# Ports of servers that the compute farm reaches: section `[farm]` of agent.toml.
type Berth::Farm = Struct[{
    'port_range'     => Pattern[/\A\d{1,5}-\d{1,5}\z/],
    'address'        => Berth::Quotable,
    Optional['name'] => Berth::Quotable,
    'networks'       => Array[Berth::Quotable, 1],
}]

# What servers cannot reach: section `[firewall]` of agent.toml.
type Berth::Firewall = Struct[{
    'mode'            => Enum['off', 'on', 'required'],
    Optional['allow'] => Array[Struct[{ 'to' => Berth::Quotable, 'ports' => Pattern[/\A\d{1,5}(-\d{1,5})?\z/] }]],
    Optional['nft']   => Berth::Path,
}]

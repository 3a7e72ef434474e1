# A file of the hub's folder: SUBJECT.toml or SUBJECT.d/NAME.toml.
type Berth::File = Pattern[/\A[a-z]+\.toml\z/, /\A[a-z]+\.d\/[A-Za-z0-9._-]+\.toml\z/]

# A folder, absolute, that can stand in a TOML string as it is.
type Berth::Path = Pattern[/\A\/[^"\\\x00-\x1f]*\z/]

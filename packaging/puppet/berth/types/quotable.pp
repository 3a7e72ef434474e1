# A text that can stand in a TOML string as it is.
type Berth::Quotable = Pattern[/\A[^"\\\x00-\x1f]+\z/]

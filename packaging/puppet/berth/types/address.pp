# HOST:PORT.
type Berth::Address = Pattern[/\A[^"\\\s]+:\d{1,5}\z/]

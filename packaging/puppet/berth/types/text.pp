# A file's text: in the data, or from a file server.
type Berth::Text = Variant[
  Struct[{ content => String[1] }],
  Struct[{ source => Variant[String[1], Array[String[1], 1]] }],
]

struct Part {
  1: required string name,
  2: i32 size,
}

service Blob {
  i32 size(1: binary data)
  binary make(1: i32 size)
  string slow(1: string text)
  i32 count(1: list<Part> parts)
  oneway void drop(1: binary data)
}

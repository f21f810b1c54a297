service Counter {
  i32 add()
}

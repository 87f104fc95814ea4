// Command sallyport runs groups of containers behind one door each.
package main

func main() {}

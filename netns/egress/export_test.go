package egress

// SelfTestBy is [SelfTest] with another way to put the rules in force, to imitate a kernel that
// lacks something.
var SelfTestBy = testSelf

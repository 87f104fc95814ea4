package egress

// SelfTestBy is a self-test whose rules are put in force another way, as a kernel that lacks something would have them.
var SelfTestBy = testSelf

package ruleset

var RememberTable = remember

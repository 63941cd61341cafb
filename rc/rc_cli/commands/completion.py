"""`rc completion`: scripts for shells; ids come from the fast path."""

from __future__ import annotations

import sys

from rc_protos.errors import usage

COMMANDS = (
    "agent apply approve attach cancel completion config cp daemon demo deny diff doctor edit events exec fetch file "
    "forward gc inbox logs ls move provider resume retry rm run sandbox say shell show ssh-config "
    "ssh-proxy stop wait"
)
BASH = """\
_rc() {
    local word="${COMP_WORDS[COMP_CWORD]}"
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "@COMMANDS@" -- "$word"))
        return
    fi
    if [[ "$word" == -* ]]; then
        COMPREPLY=($(compgen -W "$(rc __complete flag "${COMP_WORDS[1]}-${COMP_WORDS[2]}" 2>/dev/null)" -- "$word"))
        return
    fi
    case "${COMP_WORDS[1]}" in
        approve|deny) COMPREPLY=($(rc __complete request "$word" 2>/dev/null)) ;;
        run|ls|doctor|gc|demo|completion|ssh-config) COMPREPLY=() ;;
        daemon) COMPREPLY=($(compgen -W "start stop restart status logs" -- "$word")) ;;
        config) COMPREPLY=($(compgen -W "show get set" -- "$word")) ;;
        file) if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "ls cat write watch find" -- "$word"))
            else COMPREPLY=($(rc __complete task "$word" 2>/dev/null)); fi ;;
        agent) COMPREPLY=($(compgen -W "ls show install" -- "$word")) ;;
        sandbox) COMPREPLY=($(compgen -W "ls show start stop rm stats adopt" -- "$word")) ;;
        provider) COMPREPLY=($(compgen -W "ls show verify add rm" -- "$word")) ;;
        *) COMPREPLY=($(rc __complete task "$word" 2>/dev/null)) ;;
    esac
}
complete -o default -F _rc rc rclaude
"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n" + BASH
FISH = """\
complete -c rc -f -n '__fish_use_subcommand' -a '@COMMANDS@'
complete -c rc -f -n 'not __fish_use_subcommand' -a '(rc __complete task (commandline -ct) 2>/dev/null)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion(shell: str) -> int:
    """Print the script; it goes into the shell's start-up file."""
    if shell not in SCRIPTS:
        raise usage(f"there is no completion for {shell!r}", f"there is: {', '.join(SCRIPTS)}")
    sys.stdout.write(SCRIPTS[shell].replace("@COMMANDS@", COMMANDS))
    return 0

"""`minitrain completion`: print the script by which a shell completes minitrain's command line.

A script passes the words up to the cursor to `minitrain completion --complete`, see `candidates.py`.
"""

from __future__ import annotations

import argparse

BASH = r"""
_minitrain_completion() {
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
    done < <("${1/#\~/$HOME}" completion --complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o nospace -F _minitrain_completion minitrain
"""

ZSH = r"""
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_minitrain_completion() {
    local line text
    local -a open closed open_lines closed_lines
    for line in "${(@f)$("${words[1]/#\~/$HOME}" completion --complete zsh "${(@)words[2,CURRENT-1]}" "$PREFIX" \
        2>/dev/null)}"; do
        text="${line%%$'\t'*}"
        if [[ "$text" == *' ' ]]; then
            closed+=("${text% }")
            closed_lines+=("${text% }${${line#*$'\t'}:+  -- ${line#*$'\t'}}")
        elif [[ -n "$text" ]]; then
            open+=("$text")
            open_lines+=("$text${${line#*$'\t'}:+  -- ${line#*$'\t'}}")
        fi
    done
    (( $#closed )) && compadd -l -d closed_lines -- "${closed[@]}"
    (( $#open )) && compadd -S '' -l -d open_lines -- "${open[@]}"
}
compdef _minitrain_completion minitrain
"""

FISH = r"""
function __minitrain_completion
    set -l words (commandline -opc) (commandline -ct)
    set -l program (string replace -r '^~' $HOME -- $words[1])
    $program completion --complete fish $words[2..-1] 2>/dev/null
end
complete -c minitrain -f -a '(__minitrain_completion)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def main(arguments: argparse.Namespace) -> int:
    """Print the script of a shell."""
    print(SCRIPTS[arguments.shell].lstrip(), end="")
    return 0

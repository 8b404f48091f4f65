/* SPDX-License-Identifier: ISC */
/* Passwords that PAM judges. A library of the system's, and modules that nobody knows: they block, and are
 * run by helper threads only. */
#include "auth/outside.h"

#ifdef HAVE_PAM

#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

bool
outside_has_pam(void)
{
    return true;
}

static void
free_answers(struct pam_response *answers, int n)
{
    for (int i = 0; i < n; i++)
        free(answers[i].resp);
    free(answers);
}

/* Every question without echo is answered with the password: there is nothing else to say. */
static int
converse(int n, const struct pam_message **messages, struct pam_response **out, void *owner)
{
    const struct outside_who *who = owner;
    struct pam_response *answers = n <= 0 || n > PAM_MAX_NUM_MSG ? NULL : calloc((size_t)n, sizeof(*answers));
    bool good = answers != NULL;

    for (int i = 0; good && i < n; i++) {
        switch (messages[i]->msg_style) {
        case PAM_PROMPT_ECHO_OFF:
            answers[i].resp = strdup(who->password); /* PAM frees it */
            break;
        case PAM_ERROR_MSG:
            log_info("pam: user=%s %s", who->user, messages[i]->msg);
            break;
        case PAM_TEXT_INFO:
            break;
        default:
            good = false;
        }
    }
    if (!good && answers != NULL)
        free_answers(answers, n);
    *out = good ? answers : NULL;
    return good ? PAM_SUCCESS : PAM_CONV_ERR;
}

static bool
is_refusal(int code)
{
    static const int refusals[] = { PAM_AUTH_ERR,    PAM_USER_UNKNOWN,     PAM_MAXTRIES,    PAM_ACCT_EXPIRED,
                                    PAM_PERM_DENIED, PAM_NEW_AUTHTOK_REQD, PAM_CRED_EXPIRED };

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (refusals[i] == code)
            return true;
    return false;
}

bool
outside_ask_pam(const char *service, const struct outside_who *who, struct fault *why)
{
    const struct pam_conv conversation = { converse, (void *)(uintptr_t)who };
    pam_handle_t *pam = NULL;
    int code = pam_start(service, who->user, &conversation, &pam);

    if (code == PAM_SUCCESS)
        code = pam_set_item(pam, PAM_RHOST, who->from);
    if (code == PAM_SUCCESS)
        code = pam_authenticate(pam, PAM_SILENT);
    if (code == PAM_SUCCESS)
        code = pam_acct_mgmt(pam, PAM_SILENT);
    if (code != PAM_SUCCESS)
        fault_set(why, is_refusal(code) ? "28P01" : "58000", "PAM service %s: %.100s", service,
                  pam == NULL ? "cannot be started" : pam_strerror(pam, code));
    if (pam != NULL)
        pam_end(pam, code);
    return code == PAM_SUCCESS;
}

#else

bool
outside_has_pam(void)
{
    return false;
}

bool
outside_ask_pam(const char *service, const struct outside_who *who, struct fault *why)
{
    (void)service, (void)who;
    return fault_set(why, "0A000", "this pgweir was built without PAM");
}

#endif

/* SPDX-License-Identifier: ISC */
/* Kinds of options: text to field and back. Pure; any thread. */
#ifndef CONF_KINDS_PRIVATE_H
#define CONF_KINDS_PRIVATE_H

#include "conf/option.h"

conf_parser conf_parse_boolean, conf_parse_number, conf_parse_duration, conf_parse_msec, conf_parse_size;
conf_parser conf_parse_mode, conf_parse_text, conf_parse_word;
conf_printer conf_print_boolean, conf_print_number, conf_print_duration, conf_print_msec;
conf_printer conf_print_mode, conf_print_text, conf_print_word, conf_print_secret;

#define conf_print_size conf_print_number

/* The kinds that are words of a list, each an enum. */
#define conf_parse_pool_mode   conf_parse_word
#define conf_parse_auth_type   conf_parse_word
#define conf_parse_sslmode     conf_parse_word
#define conf_parse_on_state    conf_parse_word
#define conf_parse_compat      conf_parse_word
#define conf_parse_route       conf_parse_word
#define conf_parse_consistency conf_parse_word
#define conf_parse_balance     conf_parse_word
#define conf_parse_host_order  conf_parse_word
#define conf_print_pool_mode   conf_print_word
#define conf_print_auth_type   conf_print_word
#define conf_print_sslmode     conf_print_word
#define conf_print_on_state    conf_print_word
#define conf_print_compat      conf_print_word
#define conf_print_route       conf_print_word
#define conf_print_consistency conf_print_word
#define conf_print_balance     conf_print_word
#define conf_print_host_order  conf_print_word

/* A secret is a text that is never shown. */
#define conf_parse_secret conf_parse_text

/* True for the kinds whose field is a char * that the section owns. */
bool conf_is_text(const struct conf_option *o);

#endif

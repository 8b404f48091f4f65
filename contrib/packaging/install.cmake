# What `cmake --install` puts where, and the Debian package (cpack -G DEB in the build folder).
include(GNUInstallDirs)
set(packaging ${PROJECT_SOURCE_DIR}/contrib/packaging)

# pgweir.ini(5) is made from the tables of options.
add_executable(manual_options contrib/man/options.c)
target_link_libraries(manual_options PRIVATE conf)
set(manual ${PROJECT_BINARY_DIR}/pgweir.ini.5)
set(start "")
if(CMAKE_BUILD_TYPE STREQUAL "Tsan") # does not run with random addresses, on some kernels
  set(start sh -c [[setarch -R "$0" 2>/dev/null || exec "$0"]])
endif()
add_custom_command(OUTPUT ${manual} DEPENDS manual_options contrib/man/pgweir.ini.5.in
  COMMAND ${start} $<TARGET_FILE:manual_options> < ${PROJECT_SOURCE_DIR}/contrib/man/pgweir.ini.5.in > ${manual} VERBATIM)
find_program(GZIP gzip REQUIRED)
foreach(page ${PROJECT_SOURCE_DIR}/contrib/man/pgweir.1 ${manual} ${packaging}/changelog)
  get_filename_component(name ${page} NAME)
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/${name}.gz DEPENDS ${page}
    COMMAND ${GZIP} -9nc ${page} > ${PROJECT_BINARY_DIR}/${name}.gz)
  list(APPEND compressed ${PROJECT_BINARY_DIR}/${name}.gz)
endforeach()
add_custom_target(manual ALL DEPENDS ${compressed})

install(TARGETS pgweir)
# The prefix may be another one than when the build was configured, and cpack's is FOLDER/usr: /etc goes with /usr,
# else PREFIX/etc.
install(CODE "set(source ${PROJECT_SOURCE_DIR})\nset(build ${PROJECT_BINARY_DIR})")
install(CODE [[
  set(prefix ${CMAKE_INSTALL_PREFIX})
  set(etc ${CMAKE_INSTALL_PREFIX}/etc)
  set(to ${etc})
  if(CMAKE_INSTALL_PREFIX MATCHES "^(.*)/usr$")
    set(prefix /usr)
    set(etc /etc)
    set(to ${CMAKE_MATCH_1}/etc)
  endif()
  configure_file(${source}/contrib/systemd/pgweir.service.in ${build}/pgweir.service @ONLY)
  file(INSTALL ${source}/etc/pgweir.ini ${source}/etc/userlist.txt DESTINATION ${to}/pgweir)
  file(INSTALL DESTINATION ${to}/logrotate.d TYPE FILE RENAME pgweir FILES ${source}/contrib/packaging/logrotate)
  file(INSTALL ${build}/pgweir.service DESTINATION ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)
]])
install(FILES contrib/systemd/pgweir.socket DESTINATION lib/systemd/system)
install(FILES ${packaging}/sysusers.conf DESTINATION lib/sysusers.d RENAME pgweir.conf)
install(DIRECTORY sql DESTINATION ${CMAKE_INSTALL_DATADIR}/pgweir)
install(FILES ${PROJECT_BINARY_DIR}/pgweir.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_BINARY_DIR}/pgweir.ini.5.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES README.md ${packaging}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${PROJECT_BINARY_DIR}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME pgweir)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The pgweir authors <maintainers@pgweir.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "proxy for PostgreSQL: pooling, read/write splitting, failover")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"pgweir stands between applications and PostgreSQL. Many clients share few
server connections; reads go to replicas that are fresh enough; clients are
held while the primary changes. It reads PgBouncer's files and answers its
console commands.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "postgresql, logrotate")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
file(WRITE ${PROJECT_BINARY_DIR}/conffiles
  "/etc/pgweir/pgweir.ini\n/etc/pgweir/userlist.txt\n/etc/logrotate.d/pgweir\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/conffiles ${packaging}/postinst ${packaging}/prerm
  ${packaging}/postrm)
include(CPack)
